import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { model } = await load("views/settings/model");

const DEFAULTS = {
  api_url: "",
  verify_ca: true,
  communication: "http",
  api_timeout_ms: 300,
  dns_monitoring: true,
  dns_served: true,
  dns_interval_s: 60,
  system_monitoring: true,
  system_interval_s: 5,
  raw_retention_minutes: 1440,
  aggregated_retention_days: 30,
  overlapping_probes: "count",
  rabbitmq_address: "",
  rabbitmq_port: 5672,
  rabbitmq_tls: false,
  rabbitmq_virtual_host: "/",
  rabbitmq_user: "",
  rabbitmq_password_set: false,
};

/** The API's answer when these are set. */
const set = (settings = {}) => ({
  settings_version: 1,
  settings,
  effective_settings: {
    ...DEFAULTS,
    ...settings,
    rabbitmq_password_set: settings.rabbitmq_password_set === true,
  },
});

const declared = (name) => model.ALL.find((each) => each.name === name);

test("every setting is shown once", () => {
  const names = model.ALL.map(({ name }) => name).sort();
  const known = Object.keys(DEFAULTS).filter((name) => name !== "rabbitmq_password_set");
  assert.deepEqual(names, [...known, "rabbitmq_password"].sort());
});

test("the defaults are those of the central", () => {
  for (const { name, standard } of model.ALL.filter(({ name }) => name in DEFAULTS))
    assert.equal(standard, DEFAULTS[name], name);
});

test("only what differs is sent", () => {
  const draft = { dns_interval_s: "30", api_timeout_ms: "300", verify_ca: true };
  assert.deepEqual(model.changesOf(set(), draft), { dns_interval_s: 30 });
});

test("a setting that was set goes back to its default as null", () => {
  assert.deepEqual(model.changesOf(set({ dns_interval_s: 30 }), { dns_interval_s: null }), {
    dns_interval_s: null,
  });
});

test("a default that was never left needs no change", () => {
  assert.deepEqual(model.changesOf(set(), { dns_interval_s: null }), {});
});

test("spaces around a value are not part of it, except in a password", () => {
  assert.deepEqual(model.changesOf(set(), { rabbitmq_user: " probe ", rabbitmq_password: " x " }), {
    rabbitmq_user: "probe",
    rabbitmq_password: " x ",
  });
});

test("the broker's port follows TLS unless it is set", () => {
  const port = (answer, draft) => model.shownOf(declared("rabbitmq_port"), answer, draft);
  assert.deepEqual(
    [port(set(), { rabbitmq_tls: true }), port(set({ rabbitmq_port: 5672 }), { rabbitmq_tls: true })],
    ["5671", "5672"],
  );
});

test("a number outside of its limits is refused", () => {
  const fault = (value) => model.faultOf(declared("api_timeout_ms"), value);
  assert.deepEqual(
    ["9", "60001", "1.5", "", "x"].map((each) => fault(each) !== undefined),
    Array(5).fill(true),
  );
  assert.deepEqual([fault("10"), fault("60000")], [undefined, undefined]);
});

test("an address of the API has a scheme", () => {
  const fault = (value) => model.faultOf(declared("api_url"), value) !== undefined;
  assert.deepEqual(["central", "ftp://a", "", "https://central.example:8053"].map(fault), [
    true,
    true,
    false,
    false,
  ]);
});

test("a stored password is needed again for another broker", () => {
  const answer = set({ rabbitmq_address: "a.example", rabbitmq_user: "u", rabbitmq_password_set: true });
  const needed = (draft) => model.needsPassword(answer, draft);
  assert.deepEqual(
    [
      needed({ rabbitmq_address: "b.example" }),
      needed({ rabbitmq_address: "A.EXAMPLE" }),
      needed({ verify_ca: false }),
      needed({ rabbitmq_address: "b.example", rabbitmq_password: "x" }),
      needed({ rabbitmq_address: "" }),
    ],
    [true, false, true, false, false],
  );
});

test("shorter retention says what is lost, longer does not", () => {
  const losses = (minutes) => model.lossesOf(set(), { raw_retention_minutes: minutes });
  assert.match(losses(60)[0], /Raw points older than 60 min are deleted/);
  assert.deepEqual(losses(2880), []);
});

test("a complaint stands at its field without the field's name", () => {
  assert.equal(model.complaint("dns_interval_s: must divide 300", "dns_interval_s"), "Must divide 300");
});

test("a time to keep that is too long is not called too short", () => {
  const raw = declared("raw_retention_minutes");
  assert.match(model.faultOf(raw, "99999999999999999999"), /at most 4,294,967,294/);
  assert.match(model.faultOf(raw, "0"), /at least 1/);
});
