// How the page is built, and what it talks to while it is worked on.
//
// `npm run dev` serves it with an API that is made up (mock/), or with a server's: FERROMQ=http://127.0.0.1:8080.
// `npm run build` writes the files that are checked in beside the gateway and embedded by it.
import { defineConfig } from "vite";
import { madeUpApi } from "./mock/plugin.ts";
import manifest from "./package.json" with { type: "json" };
import { licences, table } from "./table.ts";

const server = process.env["FERROMQ"];

export default defineConfig({
  base: "/",
  publicDir: false,
  plugins: [licences(Object.keys(manifest.dependencies)), table(), ...(server ? [] : [madeUpApi()])],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../gateway/dashboard",
    emptyOutDir: true,
    assetsDir: "ui",
    // Files of their own, also where they are small: the content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: false,
    target: ["chrome123", "firefox121", "safari17.5"],
  },
  server: server ? { proxy: { "^/(v1|openapi.json|healthz|readyz|metrics)": { target: server, ws: true } } } : {},
});
