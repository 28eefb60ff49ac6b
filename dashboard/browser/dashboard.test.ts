// What a person does with the dashboard, done in a browser against the binary.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import type { Document } from "../src/openapi.ts";
import { operations } from "../src/openapi.ts";
import type { Message } from "../src/types.ts";
import { api, CLOSED, DARK, DESKTOP, eventually, go, OPEN, PHONE, picture, settled, start, stop, visit } from "./harness.ts";

const PLACES = ["", "topics", "groups", "messages?topic=orders&by=time&past=-1h", "dead-letters", "clients", "mqtt", "config", "definitions", "api"];
const GROUP = "billing";

before(async () => {
  await start();
  await api("PUT", "/v1/topics/orders", { readQueues: 4, writeQueues: 4 });
  await api("PUT", "/v1/topics/load", { readQueues: 4, writeQueues: 4 });
});
after(stop);

test("who is not known is asked, and sees the overview once they are", async () => {
  await visit(CLOSED, DESKTOP, async (page) => {
    await page.goto("/");
    const password = page.getByLabel("Password", { exact: true });
    await password.waitFor();
    await picture(page, "login-light");
    await page.getByLabel("Name", { exact: true }).fill("ann");
    await password.fill("wrong");
    await password.press("Enter");
    await page.getByRole("alert").getByText("That is not known here").waitFor();

    await password.fill("s3cret");
    await password.press("Enter");
    await page.getByText("Messages in").waitFor();
    // Its cookie serves a page that is loaded anew, and the page cannot read it.
    await page.reload();
    await page.getByText("Messages in").waitFor();
    assert.equal(await page.evaluate(() => document.cookie), "");

    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token", { exact: true }).check();
    await page.locator("input[type=password]").fill("t0ken");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("Messages in").waitFor();
  });
});

test("the overview shows live numbers while there is load", async () => {
  let loaded = false;
  const load = (async () => {
    const messages = Array.from({ length: 50 }, (_, n) => ({ text: `load ${n} ${"x".repeat(200)}` }));
    while (!loaded) {
      await api("POST", "/v1/topics/load/messages", { messages });
      const { messages: got } = await api<{ messages: { receipt: string }[] }>("GET", "/v1/topics/load/groups/readers/messages?max=32&wait=0s");
      if (got.length) await api("POST", "/v1/topics/load/groups/readers/acks", { receipts: got.map((each) => each.receipt) });
    }
  })();
  // Looked at when it is awaited.
  load.catch(() => {});
  try {
    await visit(OPEN, DESKTOP, async (page) => {
      await go(page, "");
      for (const figure of ["put", "get", "latency"]) {
        await page.waitForFunction((name) => /[1-9]/.test(document.querySelector(`[data-figure=${name}] b`)?.textContent ?? ""), figure);
      }
      // They change by themselves.
      const now = await page.locator("[data-figure=put] b").textContent();
      await page.waitForFunction((before) => document.querySelector("[data-figure=put] b")?.textContent !== before, now);
      await page.getByRole("img", { name: /Messages per second: in \S*[1-9].*, out / }).waitFor();
      assert.equal(await page.locator(".chart canvas").count(), 3);
      await page.locator(".chart .u-over").first().hover();
      await page.getByRole("link", { name: "load", exact: true }).waitFor();
      // A few samples make a line.
      await page.waitForFunction(async () => (await (await fetch("/v1/overview")).json()).history.filter((each: { put: number }) => each.put > 0).length >= 3);
      await picture(page, "overview-light");
    });
    await visit(OPEN, DARK, async (page) => {
      await go(page, "");
      await page.getByRole("img", { name: /Messages per second/ }).waitFor();
      await picture(page, "overview-dark");
    });
    await visit(OPEN, PHONE, async (page) => {
      await go(page, "");
      await page.getByRole("img", { name: /Messages per second/ }).waitFor();
      await picture(page, "overview-phone");
    });
  } finally {
    loaded = true;
    await load;
  }
});

test("a message that is sent by a form is found by key, id, time and place", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "topics/orders");
    await page.getByRole("button", { name: "Send a message" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Body is").selectOption("json");
    await dialog.getByLabel("Body", { exact: true }).fill('{"order": 4711, "state": "paid"}');
    await dialog.getByLabel("Tag").fill("paid");
    await dialog.getByLabel("Keys").fill("order-4711 customer-7");
    await dialog.getByLabel("Properties").fill("region=eu-1\nnote=a=b");
    await picture(page, "send-light");
    await dialog.getByRole("button", { name: "Send", exact: true }).click();
    await dialog.getByText(/Stored in queue \d+ at offset \d+/).waitFor();
    await dialog.getByRole("link", { name: "Show it" }).click();

    const shown = async (inside: Page | ReturnType<Page["locator"]>): Promise<void> => {
      const body = inside.locator("pre.body");
      await body.waitFor();
      assert.deepEqual(JSON.parse((await body.textContent()) ?? ""), { order: 4711, state: "paid" });
      const row = inside.getByRole("row").filter({ hasText: "region" });
      assert.match((await row.textContent()) ?? "", /eu-1/);
    };
    await shown(page);
    await picture(page, "message-by-id-light");

    await page.getByLabel("Find by").selectOption("key");
    await page.getByLabel("Key", { exact: true }).fill("customer-7");
    await page.getByRole("button", { name: "Search" }).click();
    const found = page.locator("tbody").getByRole("button");
    await found.first().waitFor();
    assert.equal(await found.count(), 1);
    await found.click();
    await shown(page.getByRole("dialog"));
    await picture(page, "message-light");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });

    await page.getByLabel("Find by").selectOption("time");
    await page.getByLabel("Stored in").selectOption("-5m");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("cell", { name: "order-4711 customer-7" }).waitFor();

    // The address says what was asked for a moment later: what is chosen until then stays.
    await page.getByLabel("Stored in").selectOption("-24h");
    await page.getByRole("search").evaluate((form) => {
      form.querySelector<HTMLElement>("button[type=submit]")?.click();
      const by = form.querySelector("select");
      if (by === null) throw new Error("there is no choice");
      by.value = "key";
      by.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await page.waitForURL(/past=-24h/);
    await page.getByLabel("Key", { exact: true }).fill("no-such-key");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("Nothing found").waitFor();
    await picture(page, "nothing-found-light");
  });
});

test("a dead letter is sent to its topic again", async () => {
  // Its consumer, which the test's other half is, gives up on one message.
  await eventually(
    "a dead letter",
    () => api<{ messages: Message[] }>("GET", `/v1/groups/${GROUP}/dead-letters`),
    (letters) => letters.messages.length === 1,
  );
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "dead-letters");
    await page.getByRole("link", { name: GROUP, exact: true }).click();
    await page.getByRole("checkbox", { name: /Choose message/ }).check();
    await picture(page, "dead-letters-light");
    await page.getByRole("button", { name: "Send 1 message again" }).click();
    await page.getByText("1 message sent again").waitFor();
    await picture(page, "dead-letters-sent-light");
  });
  const twins = await eventually(
    "the message and its twin",
    () => api<{ messages: Message[] }>("GET", "/v1/topics/orders/messages?key=unbillable&body=text"),
    (found) => found.messages.length === 2,
  );
  assert.deepEqual(twins.messages.map((each) => each.text), ["cannot be billed", "cannot be billed"]);
});

test("a group's lag, members and comings and goings are shown, and its offsets reset", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, `groups/${GROUP}`);
    await page.getByRole("region", { name: "Queues of orders" }).waitFor();
    await picture(page, "group-light");
    await page.getByRole("button", { name: "Reset offsets of orders" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Continue at").selectOption("first");
    await dialog.getByRole("button", { name: "Show what would change" }).click();
    await dialog.getByRole("region", { name: "What will change" }).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("link", { name: "Members", exact: true }).click();
    await page.getByRole("cell", { name: "remoting" }).waitFor();
    await picture(page, "members-light");
    for (const tab of ["Rebalances", "Dead letters"]) {
      await page.getByRole("link", { name: tab, exact: true }).last().click();
      await settled(page);
      assert.equal(await page.getByRole("alert").count(), 0, tab);
    }
  });
});

test("a live setting is changed, definitions are exported and imported", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "config");
    const change = page.getByRole("button", { name: "Change fileReservedTime" });
    await page.getByLabel("Filter settings").fill("fileReservedTime");
    await change.click();
    await page.getByRole("dialog").getByLabel("Value").fill("48");
    await page.getByRole("dialog").getByRole("button", { name: "Change" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("cell", { name: /^48/ }).waitFor();

    await go(page, "definitions");
    const kept = JSON.parse((await page.locator("pre.body").textContent()) ?? "") as { topics: { name: string }[]; groups: unknown[] };
    const orders = kept.topics.find((topic) => topic.name === "orders");
    assert.ok(orders && kept.groups.length > 0);
    await page.getByLabel("Or its content").fill(JSON.stringify({ topics: [orders, { ...orders, name: "imported" }], groups: [] }));
    await page.getByRole("button", { name: "Show what would change" }).click();
    const changes = page.getByRole("list", { name: "What would change" });
    await changes.getByText("imported").waitFor();
    assert.match((await changes.textContent()) ?? "", /new\s*imported/);
    await picture(page, "definitions-light");
    await page.getByRole("button", { name: "Import now" }).click();
    await page.getByText("1 definition made").waitFor();
    await api("GET", "/v1/topics/imported");
    await api("DELETE", "/v1/topics/imported");
  });
});

test("every operation of the API is listed, and one can be tried", async () => {
  const all = operations(await api<Document>("GET", "/openapi.json"));
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "api");
    const listed = await page.locator("button.operation").count();
    assert.equal(listed, all.length);
    await page.getByRole("button", { name: /^GET \/v1\/topics\/\{topic\} / }).click();
    await page.getByLabel("topic", { exact: true }).fill("orders");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByRole("heading", { name: /^200/ }).waitFor();
    assert.equal(JSON.parse((await page.getByLabel("Answer's body").textContent()) ?? "").name, "orders");
    await picture(page, "api-light");
  });
});

test("who is connected is shown by protocol, and brokers as the NameServer knows them", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "clients");
    await page.getByRole("button", { name: /^remoting/ }).click();
    await page.getByRole("cell", { name: GROUP, exact: true }).waitFor();
    assert.equal(await page.locator("tbody").getByText("http", { exact: true }).count(), 0);
    await go(page, "");
    await page.getByRole("region", { name: "Brokers" }).getByText("this one").waitFor();
  });
});

test("an MQTT client is shown, disconnected and purged, each after a question: it is there since the start", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "mqtt");
    await page.getByRole("link", { name: "hall/door", exact: true }).waitFor();
    await picture(page, "mqtt-clients-light");
    await page.getByRole("link", { name: "hall/door", exact: true }).click();
    await page.getByText("plant/+/state").waitFor();
    await picture(page, "mqtt-client-light");
    await page.getByRole("button", { name: "Disconnect", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
    await page.getByText("away", { exact: true }).waitFor();
    await go(page, "mqtt?tab=Retained");
    await page.getByText("plant/1/state", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Forget the message of plant/1/state" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Forget" }).click();
    await page.getByText("No message is retained").waitFor();
    await go(page, "mqtt/hall%2Fdoor");
    await page.getByRole("button", { name: "Purge", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Purge" }).click();
    await page.getByText("No client has a session").waitFor();
  });
});

test("a topic that is not there is said to be, in the server's words", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await go(page, "topics/nowhere");
    const alert = page.getByRole("alert");
    await alert.getByText("no-topic").waitFor();
    assert.match((await alert.textContent()) ?? "", /nowhere/);
    await picture(page, "no-topic-light");
  });
});

test("all places are reached, read and left by keyboard alone", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await page.goto("/");
    await page.getByText("Messages in").waitFor();
    const focused = () =>
      page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const name = element.getAttribute("aria-label") ?? (element.textContent || element.getAttribute("placeholder")) ?? "";
        return { tag: element.tagName, name: name.trim(), seen: outlineStyle !== "none" && outlineWidth !== "0px" };
      });
    await page.keyboard.press("Tab");
    assert.equal((await focused()).name, "Skip to the content");
    const names = ["FerroMQ", "Overview", "Topics", "Groups", "Messages", "Dead letters", "Clients", "MQTT", "Config", "Definitions", "API"];
    for (const name of names) {
      await page.keyboard.press("Tab");
      assert.deepEqual(await focused(), { tag: "A", name, seen: true });
    }
    // Back to Topics, into it, and the focus is at its heading.
    for (let n = 0; n < 8; n += 1) await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Topics", level: 1 }).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    await page.keyboard.press("/");
    assert.equal((await focused()).name, "Filter topics");
    await page.keyboard.type("order");
    await page.getByText(/^1 of \d+ topics$/).waitFor();

    // A dialog takes the focus, keeps it, and gives it back.
    const button = page.getByRole("button", { name: "New topic" });
    await button.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    for (let n = 0; n < 12; n += 1) {
      await page.keyboard.press("Tab");
      const inside = await page.evaluate(() => document.activeElement === document.body || !!document.activeElement?.closest("dialog"));
      assert.ok(inside, `after ${n + 1} steps`);
    }
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.activeElement?.textContent === "New topic");

    // Whatever takes the focus on any page has a name and is seen to have it.
    for (const place of PLACES) {
      await go(page, place);
      for (let n = 0; n < 40; n += 1) {
        await page.keyboard.press("Tab");
        const at = await focused();
        if (at.tag === "BODY") break;
        const labelled = at.name || (await page.evaluate(() => (document.activeElement as HTMLInputElement).labels?.length));
        assert.ok(labelled && at.seen, `${place}: step ${n + 1} is ${JSON.stringify(at)}`);
      }
    }
  });
});

test("on a phone nothing is wider than the screen", async () => {
  await visit(OPEN, PHONE, async (page) => {
    for (const place of [...PLACES, "topics/orders", `groups/${GROUP}`]) {
      await go(page, place);
      const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const);
      assert.ok(wide <= screen, `${place}: ${wide} of ${screen}`);
      assert.equal(await page.getByRole("alert").count(), 0, place);
      await picture(page, `${name(place)}-phone`);
    }
    await page.getByRole("link", { name: "Groups", exact: true }).tap();
    await page.getByRole("heading", { name: "Groups", level: 1 }).waitFor();
  });
});

test("it is dark where the system is, and as somebody chose after that", async () => {
  await visit(OPEN, DARK, async (page) => {
    const light = () => page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.documentElement).backgroundColor)?.[0]) > 128);
    for (const place of PLACES) {
      await go(page, place);
      assert.equal(await light(), false, place);
      assert.deepEqual(await faint(page), [], place);
      assert.equal(await page.getByRole("alert").count(), 0, place);
      await picture(page, `${name(place)}-dark`);
    }
    await page.getByRole("button", { name: "Use light colours" }).click();
    assert.equal(await light(), true);
    await page.reload();
    await settled(page);
    assert.equal(await light(), true);
  });
  await visit(OPEN, DESKTOP, async (page) => {
    for (const place of PLACES) {
      await go(page, place);
      assert.deepEqual(await faint(page), [], place);
      await picture(page, `${name(place)}-light`);
    }
  });
});

test("a tab that nobody sees asks nothing, and asks at once when it is shown", async () => {
  await visit(OPEN, DESKTOP, async (page) => {
    await page.clock.install();
    await go(page, "");
    const hide = (hidden: boolean) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await page.waitForLoadState("networkidle");
    await hide(true);
    let asked = 0;
    page.on("request", () => (asked += 1));
    await page.clock.runFor(120_000);
    assert.equal(asked, 0);
    const next = page.waitForRequest(/\/v1\/overview/);
    await hide(false);
    await next;
    // And goes on.
    const after = page.waitForRequest(/\/v1\/overview/);
    await page.clock.runFor(10_000);
    await after;
  });
});

/** Texts that stand out less from what is behind them than WCAG's AA asks of small ones. */
function faint(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const rgb = (color: string): number[] => (color.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (color: number[]): number => {
      const [r = 0, g = 0, b = 0] = color.slice(0, 3).map((part) => (part /= 255) <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element: Element | null): number[] => {
      for (let at = element; at; at = at.parentElement) {
        const color = rgb(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return [255, 255, 255];
    };
    const texts = [...document.querySelectorAll("#app *")].filter((element) => {
      const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim());
      return own && element.checkVisibility() && !element.closest(":disabled, .hidden, .skip, option");
    });
    const faint = texts.flatMap((element) => {
      const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(behind(element))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      return contrast < 4.5 ? [`${element.textContent?.slice(0, 40)}: ${contrast.toFixed(2)}`] : [];
    });
    return [...new Set(faint)];
  });
}

function name(place: string): string {
  return place.split("?")[0]?.replaceAll("/", "-") || "overview-idle";
}
