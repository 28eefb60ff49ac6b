// Written by the dashboard's build (dashboard/table.ts); `cargo xtask check` compares it with its sources.
&[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"dd8328bfbfe82859\"",
        bytes: include_bytes!("index.html"),
    },
    Asset {
        path: "/ui/icon-BVZAXpYP.svg",
        content_type: "image/svg+xml",
        etag: "W/\"2c9cc4aa8d39b70e\"",
        bytes: include_bytes!("ui/icon-BVZAXpYP.svg"),
    },
    Asset {
        path: "/ui/index-DwtPcDpQ.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"81ec2fa0651ff261\"",
        bytes: include_bytes!("ui/index-DwtPcDpQ.css"),
    },
    Asset {
        path: "/ui/index-DxkcokqZ.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"ccb5d3b6e4930efe\"",
        bytes: include_bytes!("ui/index-DxkcokqZ.js"),
    },
]
