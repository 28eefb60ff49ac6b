// Written by the dashboard's build (dashboard/table.ts); `cargo xtask check` compares it with its sources.
&[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"37de41b160d4f5a5\"",
        bytes: include_bytes!("index.html"),
    },
    Asset {
        path: "/ui/icon-BVZAXpYP.svg",
        content_type: "image/svg+xml",
        etag: "W/\"2c9cc4aa8d39b70e\"",
        bytes: include_bytes!("ui/icon-BVZAXpYP.svg"),
    },
    Asset {
        path: "/ui/index-BpJ90bqV.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"6fba0837473a6913\"",
        bytes: include_bytes!("ui/index-BpJ90bqV.js"),
    },
    Asset {
        path: "/ui/index-CFNsZZJL.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"f1676c87407b0e43\"",
        bytes: include_bytes!("ui/index-CFNsZZJL.css"),
    },
]
