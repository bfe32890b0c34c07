// The visitor's own account: name, password, sessions, and the way out.
import { useState } from "preact/hooks";
import { changeMe, changePassword, deleteAccount } from "../api";
import { checkPassword, MOST_DISPLAY_NAME } from "../checks";
import { useText } from "../language";
import { useAction } from "../loading";
import { person, signOut, whileLeaving } from "../person";
import { go } from "../place";
import { home } from "../router";
import { ConfirmDialog } from "../parts/dialog";
import { AreaField, TextField } from "../parts/field";
import { ProblemBox } from "../parts/problem_box";
import { SessionList } from "../parts/session_list";
import { say } from "../toasts";
import type { User } from "../types";

export function Account({ user }: { user: User }) {
  const t = useText();
  const leave = useAction(signOut);
  const [passwordChanges, setPasswordChanges] = useState(0);
  return (
    <div class="narrow">
      <div class="head-row">
        <h1 tabIndex={-1}>{t.account.title}</h1>
        <button type="button" class="button" disabled={leave.busy} onClick={() => void leave.run()} data-testid="account-signout">{t.site.signOut}</button>
      </div>
      <ProblemBox problem={leave.problem} />
      <ProfileForm user={user} />
      <PasswordForm user={user} onChanged={() => setPasswordChanges((before) => before + 1)} />
      <SessionList key={passwordChanges} />
      <DeleteAccount />
    </div>
  );
}

function ProfileForm({ user }: { user: User }) {
  const t = useText();
  const [displayName, setDisplayName] = useState(user.displayName);
  const [bio, setBio] = useState(user.bio ?? "");
  const save = useAction(async () => {
    person.set(await changeMe({ displayName: displayName.trim() || null, bio: bio.trim() }));
    say(t.site.saved);
  });
  const submit = (event: Event) => {
    event.preventDefault();
    void save.run();
  };
  const tooLong = [...displayName].length > MOST_DISPLAY_NAME ? t.form.tooLong(MOST_DISPLAY_NAME) : undefined;
  return (
    <form class="panel" onSubmit={submit} noValidate data-testid="profile-form">
      <h2>{t.account.profile} <span class="quiet">@{user.username}</span></h2>
      <TextField label={t.form.displayName} value={displayName} onValue={setDisplayName} autocomplete="name" complaint={save.problem?.field("displayName") ?? tooLong} testid="account-display-name" />
      <AreaField label={t.account.bio} optional rows={3} value={bio} onValue={setBio} complaint={save.problem?.field("bio")} testid="account-bio" />
      <ProblemBox problem={save.problem} />
      <button type="submit" class="button primary" disabled={save.busy} data-testid="account-save">{save.busy ? t.site.saving : t.site.save}</button>
    </form>
  );
}

function PasswordForm({ user, onChanged }: { user: User; onChanged: () => void }) {
  const t = useText();
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [tried, setTried] = useState(false);
  const bad = checkPassword(fresh, t);
  const change = useAction(async () => {
    await changePassword(current, fresh);
    setCurrent("");
    setFresh("");
    setTried(false);
    say(t.account.changed);
    onChanged();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!bad && current !== "") void change.run();
  };
  return (
    <form class="panel" onSubmit={submit} noValidate data-testid="password-form">
      <h2>{t.account.password}</h2>
      <input class="visually-hidden" type="text" autocomplete="username" value={user.username} readOnly tabIndex={-1} aria-hidden="true" />
      <TextField label={t.account.current} type="password" value={current} onValue={setCurrent} autocomplete="current-password" complaint={change.problem?.field("current")} testid="password-current" />
      <TextField label={t.account.new} type="password" hint={t.form.passwordHint} value={fresh} onValue={setFresh} autocomplete="new-password" complaint={(tried && bad) || change.problem?.field("new")} testid="password-new" />
      <ProblemBox problem={change.problem} testid="password-problem" />
      <button type="submit" class="button primary" disabled={change.busy} data-testid="password-save">{change.busy ? t.site.saving : t.account.change}</button>
    </form>
  );
}

function DeleteAccount() {
  const t = useText();
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState("");
  const remove = useAction(async () => {
    await whileLeaving(() => deleteAccount(password));
    person.set(null);
    say(t.account.gone);
    go(home());
  });
  return (
    <section class="panel panel-danger">
      <h2>{t.account.danger}</h2>
      <p>{t.account.dangerText}</p>
      <button type="button" class="button danger-quiet" onClick={() => setOpen(true)} data-testid="account-delete">{t.account.danger}</button>
      {open && (
        <ConfirmDialog
          title={t.account.confirmTitle}
          text={t.account.dangerText}
          confirm={t.account.confirm}
          busy={remove.busy || password === ""}
          problem={remove.problem}
          onConfirm={() => void remove.run()}
          onClose={() => setOpen(false)}
          testid="account-dialog"
        >
          <TextField label={t.form.password} type="password" value={password} onValue={setPassword} autocomplete="current-password" testid="account-delete-password" />
        </ConfirmDialog>
      )}
    </section>
  );
}
