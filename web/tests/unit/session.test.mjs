import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, browser, failure, json, load, problem } from "./page.mjs";

const RIGHTS = {
  monitoring: true,
  server_create: false,
  server_read: true,
  server_update: false,
  server_delete: false,
  zones: false,
  retirement: false,
};

const body = (more = {}) => ({
  user: "ann",
  administrator: false,
  rights: RIGHTS,
  csrf_token: "proof-1",
  ...more,
});

/** A page where nobody has signed in. */
async function fresh() {
  browser();
  const { session, api } = await load("session", "api");
  return { ...session, api };
}

/** A page where somebody has signed in. */
async function signedIn(more = {}) {
  const page = await fresh();
  answers(json(body(more)));
  await page.resume();
  return page;
}

test("whoever has a session is in", async () => {
  const { session } = await signedIn();
  assert.deepEqual([session.value.is, session.value.session.user], ["in", "ann"]);
});

test("without a session one is out, and nothing has expired", async () => {
  const { session, resume } = await fresh();
  answers(problem(401));
  await resume();
  assert.deepEqual(session.value, { is: "out", expired: false });
});

test("a central that does not answer is not a session that has ended", async () => {
  const { session, resume } = await fresh();
  answers(new TypeError("fetch failed"));
  await resume();
  assert.deepEqual([session.value.is, session.value.error.trouble], ["failed", "network"]);
});

test("what is no session is refused", async () => {
  for (const answer of [
    {},
    [],
    null,
    { user: "ann" },
    { user: 7, rights: {} },
    { user: "ann", rights: null },
  ]) {
    const { session, resume } = await fresh();
    answers(json(answer));
    await resume();
    assert.deepEqual(
      [session.value.is, session.value.error.trouble],
      ["failed", "malformed"],
      JSON.stringify(answer),
    );
  }
});

test("signing in sends name and password, and nothing in the address", async () => {
  const { session, signIn } = await fresh();
  const calls = answers(json(body(), 201));
  await signIn("ann", "secret");
  assert.deepEqual(
    [session.value.is, calls[0].method, calls[0].url, calls[0].body],
    ["in", "POST", "http://central.test/api/v2/session", '{"user":"ann","password":"secret"}'],
  );
});

test("a wrong password leaves one out", async () => {
  const { session, signIn, resume } = await fresh();
  answers(problem(401));
  await resume();
  answers(problem(401));
  assert.equal((await failure(signIn("ann", "wrong"))).status, 401);
  assert.deepEqual(session.value, { is: "out", expired: false });
});

test("changes carry the proof that they come from this page", async () => {
  const { api } = await signedIn();
  const calls = answers(json({}), json({}));
  await api.send("PATCH", "settings", {});
  await api.get("settings");
  assert.deepEqual(
    [calls[0].headers["x-csrf-token"], calls[1].headers["x-csrf-token"]],
    ["proof-1", undefined],
  );
});

test("a session that ends meanwhile has expired", async () => {
  const { session, api } = await signedIn();
  answers(problem(401));
  await failure(api.get("settings"));
  assert.deepEqual(session.value, { is: "out", expired: true });
});

test("after a session no proof is sent any more", async () => {
  const { api } = await signedIn();
  answers(problem(401));
  await failure(api.get("settings"));
  const calls = answers(json({}));
  await api.send("PATCH", "settings", {});
  assert.equal(calls[0].headers["x-csrf-token"], undefined);
});

test("what belongs to a session is forgotten with it", async () => {
  const { api, onSessionEnd } = await signedIn();
  let forgotten = 0;
  onSessionEnd(() => (forgotten += 1));
  answers(problem(401));
  await failure(api.get("settings"));
  assert.equal(forgotten, 1);
});

test("signing out ends the session, and nothing has expired", async () => {
  const { session, signOut } = await signedIn();
  const calls = answers(new Response(null, { status: 204 }));
  await signOut();
  assert.deepEqual([session.value, calls[0].method], [{ is: "out", expired: false }, "DELETE"]);
});

test("signing out of a session that has ended works", async () => {
  const { session, signOut } = await signedIn();
  answers(problem(401));
  await signOut();
  assert.deepEqual(session.value, { is: "out", expired: false });
});

test("whoever could not be signed out is still in", async () => {
  const { session, signOut } = await signedIn();
  answers(new TypeError("fetch failed"));
  await failure(signOut());
  assert.equal(session.value.is, "in");
});

test("a user may do what the rights say", async () => {
  const { may } = await signedIn();
  assert.deepEqual([may("monitoring"), may("server_update"), may("administrator")], [true, false, false]);
});

test("an administrator may do everything", async () => {
  const { may } = await signedIn({ administrator: true });
  assert.deepEqual([may("server_update"), may("administrator")], [true, true]);
});

test("nobody may do nothing", async () => {
  const { may } = await fresh();
  assert.equal(may("monitoring"), false);
});

test("a change is sent again when another tab has signed in anew", async () => {
  const { api } = await signedIn();
  const calls = answers(problem(403), json(body({ csrf_token: "proof-2" })), json({ done: true }));
  assert.deepEqual(await api.send("PATCH", "settings", {}), { done: true });
  assert.deepEqual(
    calls.map(({ method, headers }) => [method, headers["x-csrf-token"]]),
    [
      ["PATCH", "proof-1"],
      ["GET", undefined],
      ["PATCH", "proof-2"],
    ],
  );
});

test("a change is not sent again in the name of somebody else", async () => {
  const { api, session, onSessionEnd } = await signedIn();
  let forgotten = 0;
  onSessionEnd(() => (forgotten += 1));
  const calls = answers(problem(403), json(body({ user: "bob", csrf_token: "proof-2" })));
  assert.equal((await failure(api.send("PATCH", "settings", {}))).trouble, "forbidden");
  assert.deepEqual([calls.length, session.value.session.user, forgotten], [2, "bob", 1]);
});

test("a right that was taken away is no longer offered", async () => {
  const { api, may } = await signedIn();
  answers(problem(403), json(body({ rights: { ...RIGHTS, server_read: false } })));
  await failure(api.send("PATCH", "pvservers/1", {}));
  assert.equal(may("server_read"), false);
});

test("a change that stays refused is sent twice at most", async () => {
  const { api } = await signedIn();
  const calls = answers(problem(403), json(body({ csrf_token: "proof-2" })), problem(403));
  await failure(api.send("PATCH", "settings", {}));
  assert.equal(calls.length, 3);
});

/** A page of ann's with drafts: one in memory, one in the tab's storage. Her session expires, then `user` signs in. */
async function againAs(user, leave = (page) => failure(page.api.get("settings"))) {
  browser();
  const { session, api, draft } = await load("session", "api", "draft");
  answers(json(body()));
  await session.resume();
  sessionStorage.setItem("zonepulse.draft.add-server", "{}");
  answers(problem(401));
  await leave({ api, ...session });
  draft.keepDraft("notes", "typed");
  answers(json(body({ user }), 201));
  await session.signIn(user, "secret");
  return [draft.keptDraft("notes"), sessionStorage.getItem("zonepulse.draft.add-server")];
}

test("what was being typed is there when the same user signs in again", async () => {
  assert.deepEqual(await againAs("ann"), ["typed", "{}"]);
});

test("what was being typed is nobody else's", async () => {
  assert.deepEqual(await againAs("bob"), [undefined, null]);
});

test("what was being typed goes when its user signs out", async () => {
  assert.deepEqual(await againAs("ann", ({ signOut }) => signOut()), [undefined, null]);
});

test("what was being typed is nobody else's after a reload either", async () => {
  browser();
  sessionStorage.setItem("zonepulse.user", "ann");
  sessionStorage.setItem("zonepulse.draft.add-server", "{}");
  const { session } = await load("session");
  answers(json(body({ user: "bob" }), 201));
  await session.signIn("bob", "secret");
  assert.equal(sessionStorage.getItem("zonepulse.draft.add-server"), null);
});

test("signing out in another tab of the browser is no expiry", async () => {
  const one = await signedIn();
  const { session: other } = await load("session");
  answers(json(body()));
  await other.resume();
  answers(new Response(null, { status: 204 }));
  await other.signOut();
  assert.deepEqual(one.session.value, { is: "out", expired: false, elsewhere: true });
  assert.deepEqual(other.session.value, { is: "out", expired: false });
});
