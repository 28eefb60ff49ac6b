// The frame around every page: where one can go, whether the server answers, and the login where it asks for one.

import { useEffect, useRef, useState } from "preact/hooks";
import { logOut, onAnswer } from "./api.ts";
import { useAction } from "./live.ts";
import { Api } from "./pages/api.tsx";
import { Clients } from "./pages/clients.tsx";
import { Config } from "./pages/config.tsx";
import { DeadLetters } from "./pages/dead-letters.tsx";
import { DefinitionsPage } from "./pages/definitions.tsx";
import { GroupPage } from "./pages/group.tsx";
import { Groups } from "./pages/groups.tsx";
import { Login } from "./pages/login.tsx";
import { Messages } from "./pages/messages.tsx";
import { Mqtt, MqttClientPage } from "./pages/mqtt.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { TopicPage } from "./pages/topic.tsx";
import { Topics } from "./pages/topics.tsx";
import { link, type Route, useRoute } from "./route.ts";
import { keep, recall } from "./storage.ts";
import { chooseTheme, useTheme } from "./theme.ts";
import { Empty, Page } from "./ui.tsx";

const PLACES: [name: string, first: string][] = [
  ["Overview", ""],
  ["Topics", "topics"],
  ["Groups", "groups"],
  ["Messages", "messages"],
  ["Dead letters", "dead-letters"],
  ["Clients", "clients"],
  ["MQTT", "mqtt"],
  ["Config", "config"],
  ["Definitions", "definitions"],
  ["API", "api"],
];

export function App() {
  const route = useRoute();
  const theme = useTheme();
  const [server, setServer] = useState<"reached" | "unreachable" | "unauthenticated">("reached");
  // The cookie cannot be seen from here: that there is one is remembered beside it.
  const [known, setKnown] = useState(recall("session") !== null);
  const leaving = useAction();
  const main = useRef<HTMLElement>(null);
  const drawn = useRef(false);
  const place = route.parts[0] ?? "";
  const where = route.parts.join("/");

  useEffect(() => onAnswer(setServer), []);
  useEffect(() => {
    // Who follows a link by keyboard or with a screen reader continues at the new page's heading.
    if (drawn.current) main.current?.querySelector("h1")?.focus({ preventScroll: true });
    drawn.current = true;
    // On a phone the places stand in a row, of which only a part is seen.
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    scrollTo(0, 0);
  }, [where]);

  const out = server === "unauthenticated";
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>Skip to the content</a>
      <header class="bar">
        <a class="brand" href={link([])}>
          <Mark />
          FerroMQ
        </a>
        {!out && (
          <nav aria-label="Pages">
            <ul>
              {PLACES.map(([name, first]) => (
                <li key={first}>
                  <a href={link(first ? [first] : [])} aria-current={place === first ? "page" : undefined}>{name}</a>
                </li>
              ))}
            </ul>
          </nav>
        )}
        <div class="bar-end">
          {known && !out && (
            <button
              type="button"
              class="quiet"
              disabled={leaving.busy}
              onClick={() => void leaving.run(async () => {
                await logOut();
                keep("session", null);
                setKnown(false);
                setServer("unauthenticated");
              })}
            >
              Log out
            </button>
          )}
          <button
            type="button"
            class="quiet"
            aria-label={theme === "dark" ? "Use light colours" : "Use dark colours"}
            title={theme === "dark" ? "Use light colours" : "Use dark colours"}
            onClick={() => chooseTheme(theme === "dark" ? "light" : "dark")}
          >
            <span aria-hidden="true">{theme === "dark" ? "☀" : "☾"}</span>
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {server === "unreachable" && (
          <p class="banner" role="status">The server does not answer. What is shown may be old; the page tries again by itself.</p>
        )}
        {out ? (
          <Login onDone={() => {
            keep("session", "1");
            setKnown(true);
            setServer("reached");
          }} />
        ) : (
          <Content route={route} key={where} />
        )}
      </main>
    </div>
  );
}

function Content({ route }: { route: Route }) {
  const [place = "", name] = route.parts;
  switch (place) {
    case "":
      return <OverviewPage />;
    case "topics":
      return name === undefined ? <Topics /> : <TopicPage name={name} route={route} />;
    case "groups":
      return name === undefined ? <Groups /> : <GroupPage name={name} route={route} />;
    case "messages":
      return <Messages route={route} />;
    case "dead-letters":
      return <DeadLetters />;
    case "clients":
      return <Clients />;
    case "mqtt":
      return name === undefined ? <Mqtt route={route} /> : <MqttClientPage name={name} />;
    case "config":
      return <Config />;
    case "definitions":
      return <DefinitionsPage />;
    case "api":
      return <Api route={route} />;
    default:
      return (
        <Page title="No such page">
          <Empty title={`There is nothing at “${route.parts.join("/")}”`}>
            <a href={link([])}>Go to the overview</a>
          </Empty>
        </Page>
      );
  }
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="var(--accent-solid)" />
      <path d="M9 24V8h14v4H13.5v3.200H21v4h-7.500V24z" fill="#fff" />
      <circle cx="22" cy="22.500" r="2.500" fill="#ffd9c2" />
    </svg>
  );
}
