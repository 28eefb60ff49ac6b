// What the build adds to what Vite makes: licences, and `assets.rs`, the table by which the gateway embeds and serves it all.
//
// The page's parts have a hash of their content in their name, so the Rust code cannot name them by hand.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { Plugin } from "vite";

const TYPES: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Puts the licences of the packages that are in the page at its head, as they ask for. */
export function licences(packages: string[]): Plugin {
  return {
    name: "licences",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const texts = packages.map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}`);
      for (const part of Object.values(bundle)) {
        if (part.type === "chunk") part.code = `/*!\n${texts.join("\n\n")}\n*/\n${part.code}`;
      }
    },
  };
}

export function table(): Plugin {
  let dir = "";
  return {
    name: "table",
    apply: "build",
    writeBundle(options) {
      dir = options.dir ?? "";
    },
    closeBundle() {
      writeFileSync(join(dir, "assets.rs"), rust(dir));
    },
  };
}

function rust(dir: string): string {
  const files = (readdirSync(dir, { recursive: true }) as string[])
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => extname(file) in TYPES)
    .sort();
  const rows = files.map((file) => {
    const digest = createHash("sha256").update(readFileSync(join(dir, file))).digest("hex").slice(0, 16);
    return [
      "    Asset {",
      `        path: "/${file === "index.html" ? "" : file}",`,
      `        content_type: "${TYPES[extname(file)]}",`,
      `        etag: "W/\\"${digest}\\"",`,
      `        bytes: include_bytes!("${file}"),`,
      "    },",
    ].join("\n");
  });
  return `// Written by the dashboard's build (dashboard/table.ts); \`cargo xtask check\` compares it with its sources.\n&[\n${rows.join("\n")}\n]\n`;
}
