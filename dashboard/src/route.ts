// Where in the page one is: `#/topics/orders?tab=queues`. All of it is in the address, so that it can be sent to others.

import { useEffect, useState } from "preact/hooks";

export interface Route {
  /** The path's parts, decoded. */
  parts: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = splitOnce(hash.replace(/^#/, ""), "?");
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

/** The address of a place in the page. */
export function link(parts: (string | number)[], query: Record<string, string | number | undefined> = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") given.set(name, String(value));
  }
  const text = given.toString();
  return `#/${parts.map((part) => encodeURIComponent(String(part))).join("/")}${text ? `?${text}` : ""}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const moved = (): void => setRoute(parse(location.hash));
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return route;
}

function splitOnce(text: string, at: string): string[] {
  const position = text.indexOf(at);
  return position < 0 ? [text] : [text.slice(0, position), text.slice(position + 1)];
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Typed by hand, such as `%RETRY%group`: taken as it is.
    return part;
  }
}
