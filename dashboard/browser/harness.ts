// A browser, the servers that it visits, and what must hold on every page that it shows.
//
// Always true:
// * waiting is for a condition, with a limit that only a hang reaches;
// * an error that the page logs, a request that leaves the server, or an answer of 5xx fails the test that saw it.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";

export const LIMIT = 120_000;

function environment(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run \`cargo test -p ferromq-tests --test dashboard\``);
  return value;
}

/** A server that asks nobody who they are, and one that does. */
export const OPEN = environment("FERROMQ_HTTP");
export const CLOSED = environment("FERROMQ_HTTP_CLOSED");
const PICTURES = environment("FERROMQ_SCREENSHOTS");
mkdirSync(PICTURES, { recursive: true });

let browser: Browser | undefined;

export async function start(): Promise<void> {
  // The sandbox needs rights that neither containers nor root give; the pages are our own. /dev/shm is small in containers.
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
  browser = await chromium.launch({ executablePath: environment("CHROMIUM"), args, timeout: LIMIT });
}

export async function stop(): Promise<void> {
  await browser?.close();
}

export const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 860 } };
export const DARK: BrowserContextOptions = { ...DESKTOP, colorScheme: "dark" };
export const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** Shows a page to `visit`, and fails if anything went wrong on it that it does not expect. */
export async function visit(base: string, options: BrowserContextOptions, visit: (page: Page) => Promise<void>): Promise<void> {
  assert.ok(browser, "start() comes first");
  const context: BrowserContext = await browser.newContext({ ...options, baseURL: base });
  context.setDefaultTimeout(LIMIT);
  // tsx names functions by a function of its own, also those that are handed to the page.
  await context.addInitScript("globalThis.__name = (named) => named");
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A refusal that a test provokes is logged by the browser as well: answers are judged below.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (origin !== base && protocol !== "blob:") wrong.push(`asked ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 500 || response.status() === 405) wrong.push(`${response.status()} of ${response.request().method()} ${response.url()}`);
  });
  try {
    await visit(page);
  } catch (error) {
    await page.screenshot({ path: join(PICTURES, "failed.png") }).catch(() => {});
    if (wrong.length > 0) console.error(`before that: ${wrong.join("\n")}`);
    throw error;
  } finally {
    await context.close();
  }
  assert.deepEqual(wrong, []);
}

export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

/** Goes to a place in the page, and waits until it shows something but that it is loading. */
export async function go(page: Page, place: string): Promise<void> {
  await page.goto(`/#/${place}`);
  await settled(page);
}

export async function settled(page: Page): Promise<void> {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector(".loading"));
}

/** A request beside the browser, as a program makes it. */
export async function api<T>(method: string, path: string, body?: unknown, base = OPEN): Promise<T> {
  const init: RequestInit = { method, headers: { "Content-Type": "application/json" } };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(base + path, init);
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

/** Asks until the answer is one that is wanted. */
export async function eventually<T>(what: string, ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  const begun = Date.now();
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    assert.ok(Date.now() - begun < LIMIT, `${what}: still ${JSON.stringify(answer)}`);
    await new Promise((ready) => setTimeout(ready, 100));
  }
}
