// Starts the page: language and place at once, who is signed in as soon as the server says it.
import { render } from "preact";
import { App } from "./app";
import { startLanguage, text } from "./language";
import { person, startPerson } from "./person";
import { followBrowser } from "./place";
import { asProblem } from "./problem";
import "./style.css";
import { say } from "./toasts";
import { guardUploads } from "./uploads";

const root = document.getElementById("app");
if (!root) throw new Error("index.html has no #app");

startLanguage();
followBrowser();
guardUploads();
render(<App />, root);

startPerson().catch((thrown: unknown) => {
  // The page works for whoever isn't signed in; what needs an account will ask.
  person.set(null);
  const t = text();
  say(t.problems[asProblem(thrown).code] ?? t.problem, { kind: "problem" });
});
