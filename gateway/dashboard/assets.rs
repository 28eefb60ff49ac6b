// Written by the dashboard's build (dashboard/table.ts); `cargo xtask check` compares it with its sources.
&[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"c9068ebe161cf602\"",
        bytes: include_bytes!("index.html"),
    },
    Asset {
        path: "/ui/icon-BVZAXpYP.svg",
        content_type: "image/svg+xml",
        etag: "W/\"2c9cc4aa8d39b70e\"",
        bytes: include_bytes!("ui/icon-BVZAXpYP.svg"),
    },
    Asset {
        path: "/ui/index-DJmA1zel.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"476f8dec26a1352c\"",
        bytes: include_bytes!("ui/index-DJmA1zel.css"),
    },
    Asset {
        path: "/ui/index-I4Bu16WL.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"300e176fcd5285ae\"",
        bytes: include_bytes!("ui/index-I4Bu16WL.js"),
    },
]
