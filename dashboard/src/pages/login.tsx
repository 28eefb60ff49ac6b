// Asks who one is where the server wants to know: a token, or a name and password. Nothing of it is kept by the page.

import { useEffect, useRef, useState } from "preact/hooks";
import { basic, logIn, Problem } from "../api.ts";
import { useAction } from "../live.ts";
import { Failure, Field, Page } from "../ui.tsx";

export function Login(props: { onDone: () => void }) {
  const [by, setBy] = useState<"password" | "token">("password");
  const [user, setUser] = useState("");
  const [secret, setSecret] = useState("");
  const first = useRef<HTMLInputElement>(null);
  const { busy, problem, run } = useAction();

  useEffect(() => first.current?.focus(), [by]);

  const submit = (event: Event): void => {
    event.preventDefault();
    void run(async () => {
      try {
        await logIn(by === "token" ? `Bearer ${secret}` : basic(user, secret));
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 401) throw error;
        throw new Problem(401, error.code, "That is not known here", "", "Check the spelling; the server's httpCredentialsFile lists who may log in.", error.requestId);
      }
      props.onDone();
    });
  };

  return (
    <div class="login">
      <Page title="Log in">
        <form class="panel pad stack" onSubmit={submit}>
          <fieldset class="choice">
            <legend class="hidden">Log in with</legend>
            {(["password", "token"] as const).map((way) => (
              <label key={way}>
                <input type="radio" name="by" checked={by === way} onChange={() => setBy(way)} />
                {way === "password" ? "Name and password" : "Token"}
              </label>
            ))}
          </fieldset>
          {by === "password" && (
            <Field label="Name">
              {(id) => <input id={id} ref={first} required autocomplete="username" value={user} onInput={(event) => setUser(event.currentTarget.value)} />}
            </Field>
          )}
          <Field label={by === "token" ? "Token" : "Password"}>
            {(id) => (
              <input
                id={id}
                ref={by === "token" ? first : null}
                required
                type="password"
                autocomplete="current-password"
                value={secret}
                onInput={(event) => setSecret(event.currentTarget.value)}
              />
            )}
          </Field>
          {problem && <Failure problem={problem} />}
          <button type="submit" class="primary" disabled={busy}>{busy ? "Logging in…" : "Log in"}</button>
        </form>
      </Page>
    </div>
  );
}
