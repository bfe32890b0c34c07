// Starts the page: language and place at once, who is signed in as soon as the server says it.
import { render } from "preact";
import { App } from "./app";
import { startLanguage, text } from "./language";
import { followPerson } from "./live_page";
import { person, startPerson } from "./person";
import { followBrowser } from "./place";
import { asProblem } from "./problem";
import "./style.css";
import { say } from "./toasts";
import { followUploads } from "./upload_watch";
import { startUploads } from "./uploads";

const root = document.getElementById("app");
if (!root) throw new Error("index.html has no #app");

startLanguage();
followBrowser();
startUploads();
followPerson();
followUploads();
render(<App />, root);

startPerson().catch((thrown: unknown) => {
  // The page works for whoever isn't signed in; what needs an account will ask.
  person.set(null);
  const t = text();
  say(t.problems[asProblem(thrown).code] ?? t.problem, { kind: "problem" });
});
