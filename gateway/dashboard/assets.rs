// Written by the dashboard's build (dashboard/table.ts); `cargo xtask check` compares it with its sources.
&[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"26e3c57572746759\"",
        bytes: include_bytes!("index.html"),
    },
    Asset {
        path: "/ui/icon-BVZAXpYP.svg",
        content_type: "image/svg+xml",
        etag: "W/\"2c9cc4aa8d39b70e\"",
        bytes: include_bytes!("ui/icon-BVZAXpYP.svg"),
    },
    Asset {
        path: "/ui/index-DNS8QWtS.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"75054f6198bf1648\"",
        bytes: include_bytes!("ui/index-DNS8QWtS.js"),
    },
    Asset {
        path: "/ui/index-DwtPcDpQ.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"81ec2fa0651ff261\"",
        bytes: include_bytes!("ui/index-DwtPcDpQ.css"),
    },
]
