// Signing in and creating an account: the same small form, with one field more.
import { useState } from "preact/hooks";
import { register, signIn } from "../api";
import { checkPassword, checkUsername } from "../checks";
import { useText } from "../language";
import { useAction } from "../loading";
import { person } from "../person";
import { go } from "../place";
import { pathOf } from "../router";
import { TextField } from "../parts/field";
import { Mark } from "../parts/icons";
import { ProblemBox } from "../parts/problem_box";
import { useStore } from "../store";
import type { User } from "../types";
import { uploads } from "../uploads";

export function SignIn({ next }: { next: string }) {
  const t = useText();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const uploadsWait = useStore(uploads.signedOut) > 0;
  const enter = useAction(async () => {
    const { user } = await signIn(username.trim().toLowerCase(), password);
    arrive(user, next);
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (username !== "" && password !== "") void enter.run();
  };
  return (
    <div class="entry">
      <Mark />
      <h1 tabIndex={-1}>{t.signIn.title}</h1>
      {uploadsWait ? <p class="quiet" data-testid="signin-uploads">{t.signIn.whyUploads}</p> : next !== "/" && <p class="quiet">{t.signIn.why}</p>}
      <form onSubmit={submit} noValidate data-testid="signin-form">
        <TextField label={t.form.username} value={username} onValue={setUsername} autocomplete="username" testid="signin-username" />
        <TextField label={t.form.password} type="password" value={password} onValue={setPassword} autocomplete="current-password" testid="signin-password" />
        <ProblemBox problem={enter.problem} testid="signin-problem" />
        <button type="submit" class="button primary wide" disabled={enter.busy} data-testid="signin-submit">
          {enter.busy ? t.signIn.busy : t.signIn.button}
        </button>
      </form>
      <p class="quiet">{t.signIn.other} <a href={pathOf({ page: "register", next })}>{t.signIn.otherLink}</a></p>
    </div>
  );
}

export function Register({ next }: { next: string }) {
  const t = useText();
  const [username, setUsername] = useState("");
  const [displayName, setDisplayName] = useState("");
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const enter = useAction(async () => {
    const { user } = await register({ username, password, ...(displayName.trim() === "" ? {} : { displayName: displayName.trim() }) });
    arrive(user, next);
  });
  const badName = checkUsername(username, t);
  const badPassword = checkPassword(password, t);
  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!badName && !badPassword) void enter.run();
  };
  const taken = enter.problem?.code === "username_taken" ? t.problems["username_taken"] : undefined;
  return (
    <div class="entry">
      <Mark />
      <h1 tabIndex={-1}>{t.register.title}</h1>
      <form onSubmit={submit} noValidate data-testid="register-form">
        <TextField
          label={t.form.username}
          hint={t.form.usernameHint}
          complaint={(tried && badName) || enter.problem?.field("username") || taken}
          value={username}
          onValue={(value) => {
            setUsername(value.toLowerCase());
            enter.clear();
          }}
          autocomplete="username"
          testid="register-username"
        />
        <TextField
          label={t.form.displayName}
          optional
          complaint={enter.problem?.field("displayName")}
          value={displayName}
          onValue={setDisplayName}
          autocomplete="name"
          testid="register-display-name"
        />
        <TextField
          label={t.form.password}
          type="password"
          hint={t.form.passwordHint}
          complaint={(tried && badPassword) || enter.problem?.field("password")}
          value={password}
          onValue={setPassword}
          autocomplete="new-password"
          testid="register-password"
        />
        {!taken && <ProblemBox problem={enter.problem} testid="register-problem" />}
        <button type="submit" class="button primary wide" disabled={enter.busy} data-testid="register-submit">
          {enter.busy ? t.register.busy : t.register.button}
        </button>
      </form>
      <p class="quiet">{t.register.other} <a href={pathOf({ page: "signin", next })}>{t.register.otherLink}</a></p>
    </div>
  );
}

function arrive(user: User, next: string): void {
  person.set(user);
  go(next, "replace");
}
