// The made-up API as a part of the development server.
import type { Plugin } from "vite";
import { madeUp } from "./server.ts";

export function madeUpApi(): Plugin {
  return {
    name: "made-up-api",
    apply: "serve",
    configureServer(server) {
      const answer = madeUp({ auth: process.env["AUTH"] === "1", empty: process.env["EMPTY"] === "1" });
      server.middlewares.use((request, response, next) => {
        if (/^\/(v1\/|openapi\.json)/.test(request.url ?? "")) answer(request, response);
        else next();
      });
    },
  };
}
