// Written by the dashboard's build (dashboard/table.ts); `cargo xtask check` compares it with its sources.
&[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"d892da29bb95814c\"",
        bytes: include_bytes!("index.html"),
    },
    Asset {
        path: "/ui/icon-BVZAXpYP.svg",
        content_type: "image/svg+xml",
        etag: "W/\"2c9cc4aa8d39b70e\"",
        bytes: include_bytes!("ui/icon-BVZAXpYP.svg"),
    },
    Asset {
        path: "/ui/index-BigT7nlW.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"3d4c1454fdb48281\"",
        bytes: include_bytes!("ui/index-BigT7nlW.js"),
    },
    Asset {
        path: "/ui/index-CFNsZZJL.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"f1676c87407b0e43\"",
        bytes: include_bytes!("ui/index-CFNsZZJL.css"),
    },
]
