// Written by the dashboard's build (dashboard/table.ts); `cargo xtask check` compares it with its sources.
&[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"94484c86b32de018\"",
        bytes: include_bytes!("index.html"),
    },
    Asset {
        path: "/ui/icon-BVZAXpYP.svg",
        content_type: "image/svg+xml",
        etag: "W/\"2c9cc4aa8d39b70e\"",
        bytes: include_bytes!("ui/icon-BVZAXpYP.svg"),
    },
    Asset {
        path: "/ui/index-BSA-wt7X.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"d1eaab842272d5c0\"",
        bytes: include_bytes!("ui/index-BSA-wt7X.css"),
    },
    Asset {
        path: "/ui/index-CGShT9uY.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"8aa521c1e27f07d8\"",
        bytes: include_bytes!("ui/index-CGShT9uY.js"),
    },
]
