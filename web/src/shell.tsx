// What surrounds every view: navigation, the refresh, the clock, the theme, the user.
import { Component, type ComponentChildren, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, asApiError, malformed, noAnswer, TIMEOUT_MS, unreachable } from "./api";
import { CLOCKS, clock, refreshEvery, REFRESHES, theme, THEMES } from "./preferences";
import { forgetAnswers, onRefresh, refresh, SLOW_MS, underway, updatedAt } from "./query";
import { rightTitle } from "./rights";
import { go, href, route, segment } from "./route";
import { may, session, signOut } from "./session";
import { moment, visible, zoneName } from "./text";
import { Brand } from "./ui/brand";
import { Button, IconButton } from "./ui/button";
import { Failure, Loading } from "./ui/feedback";
import { Icon } from "./ui/icons";
import { Menu } from "./ui/menu";
import { Page } from "./ui/page";
import { toast, Toasts } from "./ui/toast";
import { HOME, navigation, viewNameOf, viewOf, type NavigationItem, type ViewProps } from "./views";

/** Shows what went wrong in a view without taking the navigation with it. A refresh asks again. */
class Guard extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };
  private stop = (): void => {};
  static override getDerivedStateFromError() {
    return { failed: true };
  }
  override componentDidCatch() {
    // One of the answers could not be displayed. If it were kept, the view would stay broken.
    forgetAnswers();
    this.stop();
    this.stop = onRefresh(this.again);
  }
  override componentWillUnmount() {
    this.stop();
  }
  private again = (): void => {
    this.stop();
    this.setState({ failed: false });
  };
  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Page title="This view cannot be shown">
        <Failure
          error={malformed("The central's answer could not be displayed.")}
          retry={() => {
            forgetAnswers();
            this.again();
          }}
        />
      </Page>
    );
  }
}

const NOT_DELIVERED = new ApiError(
  "network",
  "The view could not be loaded",
  "The central did not deliver a part of this page. It may have been updated.",
  "Reload the page.",
);

const loaded = new Map<string, ComponentType<ViewProps>>();

function Content() {
  const { path, params } = route.value;
  const name = viewNameOf(path);
  const [, arrived] = useState(0);
  const [failed, setFailed] = useState<{ name: string; error: ApiError; reload: boolean }>();
  const [slow, setSlow] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const view = viewOf(name);
  const allowed = view.right === undefined || may(view.right);
  const known = loaded.get(name);

  useEffect(() => {
    if (known || !allowed) return;
    let current = true;
    setFailed(undefined);
    setSlow(false);
    const slowTimer = setTimeout(() => setSlow(true), SLOW_MS);
    const fail = (error: ApiError, reload = false): void => {
      clearTimeout(slowTimer);
      if (current) setFailed({ name, error, reload });
    };
    // An import cannot be aborted, so one that arrives after this is still welcome.
    const limit = setTimeout(() => fail(noAnswer()), TIMEOUT_MS);
    view.load().then(
      (module) => {
        clearTimeout(slowTimer);
        clearTimeout(limit);
        loaded.set(name, module.default);
        if (current) arrived((before) => before + 1);
      },
      async () => {
        clearTimeout(limit);
        const why = await unreachable();
        if (!current) return;
        // Some browsers remember that an import failed; then only a new page can get it.
        if (why) fail(why);
        else if (attempt > 0) location.reload();
        else fail(NOT_DELIVERED, true);
      },
    );
    return () => {
      current = false;
      clearTimeout(slowTimer);
      clearTimeout(limit);
    };
  }, [name, allowed, attempt]);
  useEffect(() => setAttempt(0), [name]);

  // The start is for those who may look at records; for others, it is what they may see first.
  const instead = path.length === 0 && !allowed ? offered(navigation.flat())[0]?.path : undefined;
  useEffect(() => {
    if (instead !== undefined) go(href(instead), { replace: true });
  }, [instead]);

  if (instead !== undefined) return <Loading />;
  if (!allowed)
    return (
      <Page title="Not allowed">
        <Failure
          error={
            new ApiError(
              "forbidden",
              "You may not see this",
              view.right === "administrator"
                ? "This view is for administrators."
                : `This view needs the right “${rightTitle(view.right ?? "")}”, which your user does not have.`,
              "An administrator can change that.",
            )
          }
        />
      </Page>
    );
  if (!known && failed?.name === name)
    return (
      <Page title="This view could not be loaded">
        <Failure
          error={failed.error}
          retry={failed.reload ? () => location.reload() : () => setAttempt((before) => before + 1)}
        />
      </Page>
    );
  if (!known) return <Loading slow={slow} />;
  const View = known;
  return (
    <Guard key={path.join("/")}>
      <View path={path} params={params} />
    </Guard>
  );
}

/** What the user may see. */
const offered = (items: readonly NavigationItem[]): NavigationItem[] =>
  items.filter(({ path }) => {
    const { right } = viewOf(path);
    return right === undefined || may(right);
  });

function isCurrent(item: NavigationItem, first: string): boolean {
  return item.path === first || (item.also?.includes(first) ?? false);
}

function Navigation({ onFollow }: { onFollow: () => void }) {
  const first = route.value.path[0] ?? HOME;
  return (
    <nav aria-label="Main" id="navigation">
      {navigation.map((group, at) => {
        const items = offered(group);
        return items.length === 0 ? null : (
          <ul key={at}>
            {items.map((item) => (
              <li key={item.path}>
                <a
                  href={href(item.path)}
                  aria-current={isCurrent(item, first) ? "page" : undefined}
                  onClick={onFollow}
                >
                  <Icon name={item.icon} />
                  {item.plain !== undefined && !may("administrator") ? item.plain : item.title}
                </a>
              </li>
            ))}
          </ul>
        );
      })}
      <ul class="nav-end">
        <li>
          <a href="/api/docs/">
            <Icon name="code" />
            API
          </a>
        </li>
      </ul>
    </nav>
  );
}

const REFRESH_WORDS: Record<(typeof REFRESHES)[number], string> = { "0": "Off", "10": "10 s", "60": "1 min" };

function RefreshControl() {
  const busy = underway.value > 0;
  return (
    <div class="refresh">
      <span class="muted small updated">
        {updatedAt.value === null ? "" : `Updated ${moment(updatedAt.value).slice(11)}`}
      </span>
      <IconButton label="Refresh" icon="refresh" data-busy={busy ? "true" : undefined} onClick={refresh} />
      <label class="visually-hidden" for="refresh-every">
        Automatic refresh
      </label>
      <select
        id="refresh-every"
        title="Automatic refresh"
        value={refreshEvery.value}
        onChange={(event) => {
          refreshEvery.value = REFRESHES.find((each) => each === event.currentTarget.value) ?? "0";
        }}
      >
        {REFRESHES.map((each) => (
          <option key={each} value={each}>
            {REFRESH_WORDS[each]}
          </option>
        ))}
      </select>
    </div>
  );
}

/** One of a few choices, all visible. */
function Choice<T extends string>({
  label,
  choices,
  words,
  value,
  onValue,
}: {
  label: string;
  choices: readonly T[];
  words: Record<T, string>;
  value: T;
  onValue: (value: T) => void;
}) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {choices.map((each) => (
        <button type="button" key={each} aria-pressed={each === value} onClick={() => onValue(each)}>
          {words[each]}
        </button>
      ))}
    </div>
  );
}

function UserMenu() {
  const state = session.value;
  if (state.is !== "in") return null;
  const { user, administrator } = state.session;
  const leave = (): void => {
    signOut().catch((error: unknown) =>
      toast(`You are still signed in: ${asApiError(error).message}`, "bad"),
    );
  };
  return (
    <Menu
      label={`User and display: ${visible(user)}`}
      buttonClass="button quiet user-button"
      button={
        <>
          <Icon name="user" />
          <span class="user-name">{visible(user)}</span>
        </>
      }
    >
      <div class="user-menu">
        <p>
          <strong>{visible(user)}</strong>
          <br />
          <span class="muted small">{administrator ? "Administrator" : "User"}</span>
        </p>
        <p>
          <a href={href(`users/${segment(user)}`)}>Password and tokens</a>
        </p>
        <p class="menu-label">Theme</p>
        <Choice
          label="Theme"
          choices={THEMES}
          words={{ system: "System", light: "Light", dark: "Dark" }}
          value={theme.value}
          onValue={(chosen) => {
            theme.value = chosen;
          }}
        />
        <p class="user-leave">
          <Button icon="lock" onClick={leave}>
            Sign out
          </Button>
        </p>
      </div>
    </Menu>
  );
}

export function Shell() {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (!open) return;
    const close = (event: KeyboardEvent): void => {
      if (event.key === "Escape") setOpen(false);
    };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [open]);
  return (
    <div class={`shell${open ? " nav-open" : ""}`}>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          // The fragment is the route, so the browser must not follow this link.
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to content
      </a>
      <header>
        <span class="nav-toggle">
          <IconButton
            label={open ? "Close navigation" : "Open navigation"}
            icon={open ? "close" : "menu"}
            aria-expanded={open}
            aria-controls="navigation"
            onClick={() => setOpen(!open)}
          />
        </span>
        <a class="home" href={href(may("monitoring") ? HOME : "")} aria-label="Zonepulse, start">
          <Brand />
        </a>
        <span class="spring" />
        <RefreshControl />
        <Choice
          label="Clock"
          choices={CLOCKS}
          words={{ local: "Local", utc: "UTC" }}
          value={clock.value}
          onValue={(chosen) => {
            clock.value = chosen;
          }}
        />
        <UserMenu />
      </header>
      <Navigation onFollow={() => setOpen(false)} />
      <main id="main" tabIndex={-1}>
        <Content />
        <footer class="muted small">Times are in {zoneName()}.</footer>
      </main>
      <Toasts />
    </div>
  );
}
