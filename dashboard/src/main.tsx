import { render } from "preact";
import { App } from "./app.tsx";
import "./style.css";
import { restoreTheme } from "./theme.ts";

restoreTheme();
render(<App />, document.getElementById("app")!);
