import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, asApiError } from "../../api";
import { signIn } from "../../session";
import { duration, visible } from "../../text";
import { Button, Notice, TextField } from "../../ui";
import { Brand } from "../../ui/brand";

/** Seconds until a time, which count down to 0. */
function useCountdown(until: number): number {
  const [now, setNow] = useState(() => Date.now());
  const left = Math.max(0, Math.ceil((until - now) / 1000));
  useEffect(() => {
    setNow(Date.now());
    if (until <= Date.now()) return;
    const timer = setInterval(() => {
      setNow(Date.now());
      if (Date.now() >= until) clearInterval(timer);
    }, 250);
    return () => clearInterval(timer);
  }, [until]);
  return left;
}

function words(error: ApiError): string {
  if (error.status === 401) return "The name or the password is wrong.";
  // The countdown says when.
  return error.retryAfterS > 0 ? visible(error.message) : `${visible(error.message)} ${error.advice}`;
}

/** Stands in place of the view that was asked for, which therefore appears after signing in. */
export default function Login({ expired, elsewhere = false }: { expired: boolean; elsewhere?: boolean }) {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const [until, setUntil] = useState(0);
  const [capsLock, setCapsLock] = useState(false);
  const left = useCountdown(until);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    document.title = "Sign in · Zonepulse";
    form.current?.querySelector("input")?.focus();
  }, []);

  const submit = async (): Promise<void> => {
    // A browser's password manager may have filled the fields without an event.
    const typed = new FormData(form.current ?? undefined);
    const read = (name: string, otherwise: string): string => {
      const value = typed.get(name);
      return typeof value === "string" && value !== "" ? value : otherwise;
    };
    setBusy(true);
    setError(undefined);
    try {
      await signIn(read("username", user), read("password", password));
    } catch (failed) {
      const why = asApiError(failed);
      setError(why);
      setUntil(Date.now() + why.retryAfterS * 1000);
      // What was typed is worth keeping when it was not what was wrong.
      if (why.status === 401) setPassword("");
      setBusy(false);
      form.current?.querySelector<HTMLInputElement>("input[type=password]")?.focus();
    }
  };

  return (
    <main class="login" id="main">
      <form
        ref={form}
        class="card"
        aria-labelledby="login-title"
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy && left === 0) void submit();
        }}
      >
        <Brand />
        <h1 id="login-title">Sign in</h1>
        {elsewhere && !error && <Notice>You were signed out.</Notice>}
        {expired && !error && <Notice>Your session has expired. Sign in to continue where you were.</Notice>}
        <div role="alert">{error && <Notice tone="bad">{words(error)}</Notice>}</div>
        <TextField
          label="Name"
          name="username"
          autocomplete="username"
          autocapitalize="none"
          required
          value={user}
          onValue={setUser}
        />
        <TextField
          label="Password"
          name="password"
          type="password"
          autocomplete="current-password"
          required
          hint={capsLock ? "Caps Lock is on." : undefined}
          value={password}
          onValue={setPassword}
          onKeyUp={(event) => setCapsLock(event.getModifierState("CapsLock"))}
          onBlur={() => setCapsLock(false)}
        />
        <Button kind="primary" type="submit" busy={busy} doing="Signing in" disabled={left > 0}>
          {left > 0 ? `Try again in ${duration(left)}` : "Sign in"}
        </Button>
        <p class="muted small">
          The first start writes a name and a password for the administrator to <code>admin-credentials</code>{" "}
          in the data directory.
        </p>
      </form>
    </main>
  );
}
