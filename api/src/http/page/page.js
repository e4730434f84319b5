// The page's only sources are the calls of the public API. Everything that
// comes from them is put into the page as text, never as markup.
"use strict";

const REFRESH_MS = 10_000;
const WINDOW_S = 30 * 60;
const CARDS = 12;
/** How much of a machine's past is drawn. */
const MACHINE_S = 6 * 3600;
/** A server that has not reported for longer is shown as it was then. */
const FRESH_MS = 180_000;
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "short" });

/** An element with attributes and children; strings become text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The address of a call with its parameters. */
const addressOf = (path, parameters) => `/api/v2/${path}?${new URLSearchParams(parameters)}`;

/** What a call answers in a format. */
async function call(address, accept, timeout = 30_000) {
  // Of the origin, not of the page's own address: that may hold a name and password, which fetch refuses.
  const url = new URL(address, location.origin);
  const response = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(timeout) });
  if (response.ok) return response;
  const problem = await response.json();
  throw new Error(problem.detail ?? problem.title ?? `status ${response.status}`);
}

/** Rows of a call, and how many there are before paging. */
async function ask(path, parameters) {
  const response = await call(addressOf(path, parameters), "application/json");
  const rows = await response.json();
  return { rows, total: Number(response.headers.get("x-total-count") ?? rows.length) };
}

/** Rows at a time of a file, and how many of these pages it has at most: about as many rows as a spreadsheet takes. */
const SAVED_ROWS = 100_000;
const SAVED_PAGES = 10;
/** How long each of them takes at most: they are sorted, and sent over any line. */
const SAVE_MS = 300_000;

/** The address of the next page of an answer; null after the last one. */
function nextPage(response) {
  const [, address = null] = /<([^>]*)>;\s*rel="next"/.exec(response.headers.get("link") ?? "") ?? [];
  return address;
}

/** Saves what a call answers as a CSV file. Anybody can ask for a name, so none may be a formula in a spreadsheet. */
async function save(button, name, path, parameters) {
  const tell = (text) => {
    byId("saving").textContent = text;
    byId("saving").hidden = text === "";
  };
  tell("");
  button.disabled = true;
  try {
    const [accept, asked] = ["text/csv", { ...parameters, limit: SAVED_ROWS, escape: "spreadsheet" }];
    const pages = [];
    let [address, total] = [addressOf(path, asked), 0];
    while (address !== null && pages.length < SAVED_PAGES) {
      const response = await call(address, accept, SAVE_MS);
      const text = await response.text();
      // Every page begins with the header line.
      pages.push(pages.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
      total = Number(response.headers.get("x-total-count") ?? 0);
      address = nextPage(response);
    }
    const file = URL.createObjectURL(new Blob(pages, { type: accept }));
    element("a", { href: file, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(file), 60_000);
    if (address !== null) {
      const [saved, all] = [pages.length * SAVED_ROWS, total].map((rows) => numbers.format(rows));
      tell(`${name}.csv has the first ${saved} of ${all} records. The API has the others, and so has \`zonepulse export\`.`);
    }
  } catch (error) {
    tell(`The file could not be had: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

/** Why the central takes no batches, as /readyz says; empty when it takes them. */
async function unready() {
  const response = await fetch(new URL("/readyz", location.origin), { signal: AbortSignal.timeout(30_000) });
  if (response.ok) return "";
  const problem = await response.json();
  return problem.detail ?? problem.title ?? `status ${response.status}`;
}

/** Says so above everything else: what is green below is only as of the last batch that was taken. */
function showUnready(why) {
  document.body.classList.toggle("unready", why !== "");
  byId("unready").textContent = why === "" ? "" : `The central is not ready: ${why}`;
  byId("unready").hidden = why === "";
}

function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 100) return numbers.format(Math.round(value));
  return value.toLocaleString(undefined, { maximumFractionDigits: value >= 10 ? 1 : 2 });
}

function ago(time, now) {
  const age = Math.max(0, (now - time) / 1000);
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (age >= length) return relative.format(-Math.floor(age / length), unit);
  }
  return age < 5 ? "just now" : relative.format(-Math.floor(age), "second");
}

/** The day and time of day here, in the order in which they sort. */
function exact(time) {
  const two = (number) => String(number).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

function moment(text, now) {
  const time = new Date(text);
  return element("time", { datetime: text, title: text }, ago(time, now), " ", element("span", {}, exact(time)));
}

// How servers are

/** A server's health in words, and how good that is. What is green is fine; no colour says anything that no word does. */
const HEALTHS = {
  silent: ["silent", "bad"],
  refused: ["refused", "bad"],
  conflict: ["several probes", "bad"],
  blind: ["blind", "bad"],
  behind: ["behind", "warn"],
  lost: ["batches lost", "warn"],
  restarting: ["restarting", "warn"],
  dns_stopped: ["DNS server stopped", "warn"],
  settings_refused: ["settings not followed", "warn"],
  new: ["no probe yet", ""],
  starting: ["starting", ""],
  ok: ["ok", "good"],
};
/** Healths of which nothing has to be said besides the word. */
const FINE = ["ok", "starting"];
/** So many reasons stand on a card; the table has all. */
const CARD_REASONS = 2;
/** What a server counts that is so is not all that there is. */
const INCOMPLETE = ["silent", "refused", "blind", "behind", "lost"];

/** Word and grade of a row of heartbeats; those of a later version are shown as they are. */
const healthOf = (row) => HEALTHS[row.health] ?? [row.health ?? "–", "warn"];

const isFine = (row) => FINE.includes(row.health);

/** The reasons of a row that somebody should read, each once. */
function reasonsOf(row) {
  return row.reasons.filter((reason) => !FINE.includes(reason.health));
}

/** Says of which servers numbers are not whole, beside all of them. */
function showPartial(rows, chosen) {
  const concerned = rows.filter((row) => chosen === "" || String(row.server_id) === chosen);
  const partial = concerned.filter((row) => row.reasons.some((reason) => INCOMPLETE.includes(reason.health)));
  const words = (row) => {
    const held = row.reasons.filter((reason) => INCOMPLETE.includes(reason.health)).map((reason) => HEALTHS[reason.health][0]);
    return `${row.server} (${[...new Set(held)].join(", ")})`;
  };
  byId("partial").hidden = partial.length === 0;
  byId("partial").textContent = partial.length === 0 ? ""
    : `These numbers are incomplete: hits may be missing of ${partial.map(words).join(", ")}.`;
  // What was not seen looks unused.
  if (partial.length > 0) ["top-note", "idle-note"].forEach((note) => { byId(note).textContent += ", incomplete"; });
}

// Servers

function showServers(servers, fleet, rates, reports, now) {
  const select = byId("server");
  const chosen = select.value;
  const options = servers.map((server) =>
    element("option", { value: server.server_id }, server.sample ? `${server.server} (sample)` : server.server));
  select.replaceChildren(element("option", { value: "" }, "All servers"), ...options);
  select.value = servers.some((server) => String(server.server_id) === chosen) ? chosen : "";

  const newest = new Map();
  for (const row of rates) {
    if (row.rps !== null) newest.set(row.server_id, row);
  }
  const cards = servers.slice(0, CARDS).map((server) => {
    const mine = reports.filter((report) => report.server_id === server.server_id);
    const row = fleet.find((row) => row.server_id === server.server_id);
    return card(server, row, newest.get(server.server_id), mine, select.value, now);
  });
  byId("servers").replaceChildren(...cards);
  if (servers.length === 0) {
    const hint = "No server yet. `zonepulse server add NAME --probe-config FILE` makes one, and the configuration of its probe.";
    byId("servers").append(element("p", { class: "empty" }, hint));
  }
}

function card(server, heard, row, reports, chosen, now) {
  const name = element("div", { class: "name" }, element("span", { title: server.server }, server.server));
  if (server.sample) name.append(element("span", { class: "sample" }, "sample"));
  const ends = reports.map((report) => Date.parse(report.time) + report.interval_s * 1000);
  const last = Math.max(...ends);
  const fresh = now - last < FRESH_MS;
  const held = heard?.reasons ?? [];
  // What a blind server counts is a part of what there is.
  const least = row && held.some((reason) => reason.health === "blind") ? "at least " : "";
  const unit = element("small", {}, "requests/s");
  const value = element("div", { class: fresh ? "value" : "value old" }, element("small", {}, least), rate(row?.rps), " ", unit);
  const id = String(server.server_id);
  const made = element("button", { type: "button", class: "card", "aria-pressed": String(chosen === id) }, name, value);
  if (heard && heard.health !== null) {
    const [word, grade] = healthOf(heard);
    made.append(element("div", { class: `state ${grade}` }, word));
    const reasons = reasonsOf(heard);
    made.append(...reasons.slice(0, CARD_REASONS).map((reason) => element("div", { class: "reason" }, reason.reason)));
    if (reasons.length > CARD_REASONS) {
      made.append(element("div", { class: "reason" }, `and ${reasons.length - CARD_REASONS} more, in the table of servers`));
    }
  }
  const reported = ends.length === 0 ? "no report for 30 minutes" : `reported up to ${clock.format(last)}`;
  made.append(element("div", { class: "reported" }, reported));
  const lost = reports.reduce((sum, report) => sum + report.kernel_dropped + report.interface_dropped, 0);
  if (lost > 0) made.append(element("div", { class: "lost" }, `${numbers.format(lost)} packets lost`));
  made.addEventListener("click", () => {
    byId("server").value = chosen === id ? "" : id;
    refresh();
  });
  return made;
}

// The fleet

const COMPONENTS = [["dns", "DNS"], ["monitor", "probe"], ["dhcp4", "DHCPv4"], ["dhcp6", "DHCPv6"], ["backup", "backup"]];
/** A clock that is further off than this makes intervals land in the wrong minute. */
const SKEW_MS = 2_000;

/** A word with a dot in front of it that says how good that is. */
function dotted(grade, text, title = "") {
  return element("span", { class: `dot ${grade}`, title }, text);
}

const isSilent = (row) => row.reasons.some((reason) => reason.health === "silent");
/** Of a server that is silent nobody knows whether something still runs. */
const gradeOf = (row, state) => (isSilent(row) ? "" : state === "running" ? "good" : "warn");
const then = (row) => (isSilent(row) ? "at its last heartbeat" : "");

/** Components that are there, stopped ones in words; those that a server does not have are nothing to speak of. */
function components(row) {
  const there = COMPONENTS.filter(([key]) => row.components[key]);
  if (there.length === 0) return ["–"];
  return there.map(([key, word]) => {
    const { state, version, name, identity } = row.components[key];
    const text = [name ?? word, version, state === "running" ? "" : state].filter(Boolean).join(" ");
    const title = [`${word}: ${state}`, identity, then(row)].filter(Boolean).join(", ");
    return dotted(gradeOf(row, state), text, title);
  });
}

function skew(ms) {
  if (ms === null) return "–";
  if (Math.abs(ms) < 1000) return `${ms} ms`;
  return `${(ms / 1000).toLocaleString(undefined, { maximumFractionDigits: 1 })} s`;
}

function capture(row) {
  if (row.capture === null) return "–";
  const { state, detail, blind } = row.capture;
  const told = [detail, ...blind.map((reason) => reason.detail), then(row)].filter(Boolean).join("; ");
  if (state === "running" && blind.length > 0) return dotted("bad", "running, blind", told);
  return dotted(gradeOf(row, state), state, told);
}

/** The word, and every reason that somebody should read. */
function health(row) {
  const [word, grade] = healthOf(row);
  return [dotted(grade, word), ...reasonsOf(row).map((reason) => element("div", { class: "reason" }, reason.reason))];
}

function showFleet(all, now) {
  const rows = all.rows.filter((row) => !row.sample);
  byId("fleet-panel").hidden = rows.length === 0;
  byId("fleet-note").textContent = `${numbers.format(rows.filter(isFine).length)} of ${numbers.format(rows.length)} well`;
  const cell = (make) => (row, kind) => element("td", { class: kind }, ...[make(row)].flat());
  byId("fleet").replaceChildren(table(rows, [
    ["Server", "host", cell((row) => element("span", { title: [row.hostname, row.os].filter(Boolean).join(", ") }, row.server))],
    ["Health", "health", cell(health)],
    ["Heartbeats", "beats", cell((row) => `${row.requests} in 2 min`)],
    ["Last heartbeat", "when", cell((row) => (row.last_heartbeat === null ? "never" : moment(row.last_heartbeat, now)))],
    ["Components", "components", cell(components)],
    ["Capture", "", cell(capture)],
    ["Clock", "number", cell((row) => element("span", { class: Math.abs(row.clock_skew_ms) > SKEW_MS ? "off" : "" }, skew(row.clock_skew_ms)))],
    ["Waiting", "number", cell((row) => (row.spool === null ? "–" : numbers.format(row.spool.batches)))],
    ["Settings", "number", cell((row) => (row.last_heartbeat === null ? "–" : row.settings_version ?? "own"))],
  ], "Servers and their probes"));
}

// The chart

let chartRows = [];

function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * unit).find((step) => step >= value);
}

/** Stretches of neighbouring rows of which the same is said. */
function stretches(rows, said) {
  const found = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last && last.said === said(row)) last.rows.push(row);
    else found.push({ said: said(row), rows: [row] });
  }
  return found;
}

/** What is missing in a step, in words; empty when every server observed all of it. */
function missing(row) {
  if (row.rps === null) return "nothing was observed";
  if (row.observed_servers >= row.servers) return "";
  return row.servers === 1 ? "observed in part" : `${row.observed_servers} of ${row.servers} servers observed`;
}

/** The steps that are drawn: an open one only if it is not behind the one before it, because its reports are under way. */
function drawnSteps(rows) {
  const found = rows.map((row) => ({ ...row, time: Date.parse(row.time) }));
  const behind = (row, before) => row.rps === null || row.observed_servers < (before?.observed_servers ?? row.servers);
  while (found.at(-1)?.open && behind(found.at(-1), found.at(-2))) found.pop();
  return found;
}

/** What the chart's shades and dashes mean, as far as there are any. */
function legend(rows) {
  const notes = ["last 30 minutes"];
  const partial = rows.filter((row) => row.rps !== null && missing(row) !== "");
  const least = partial.reduce((worst, row) => (worst && worst.observed_servers <= row.observed_servers ? worst : row), null);
  if (rows.some((row) => row.rps === null)) notes.push("shaded: nothing was observed");
  if (least) notes.push(`framed: partial, ${missing(least)} at ${clock.format(least.time)}`);
  if (rows.some((row) => row.open)) notes.push("dashed: not over yet");
  return notes.join("; ");
}

function showChart() {
  const box = byId("chart");
  const rows = drawnSteps(chartRows);
  const step = rows.length > 1 ? rows[1].time - rows[0].time : 60_000;
  const words = legend(rows);
  byId("chart-note").textContent = words;
  if (!rows.some((row) => row.rps !== null)) {
    box.replaceChildren(element("p", { class: "empty" }, "Nothing was observed in the last 30 minutes."));
    return;
  }
  const [width, height] = [Math.max(box.clientWidth, 320), box.clientHeight || 240];
  const [left, right, top, bottom] = [52, width - 10, 10, height - 24];
  const from = rows[0].time;
  const until = Math.max(rows.at(-1).time, from + step);
  const most = niceCeiling(Math.max(...rows.map((row) => row.rps ?? 0)));
  const x = (time) => left + (right - left) * (time - from) / (until - from);
  const y = (value) => bottom - (bottom - top) * value / most;
  const at = (row) => `${x(row.time).toFixed(1)} ${y(row.rps).toFixed(1)}`;

  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Requests per second, ${words}` });
  for (const part of stretches(rows, missing).filter(({ said }) => said !== "")) {
    const [start, end] = [Math.max(part.rows[0].time - step / 2, from), Math.min(part.rows.at(-1).time + step / 2, until)];
    const [kind, wide] = [part.rows[0].rps === null ? "gap" : "partial", Math.max(x(end) - x(start), 0)];
    const shade = drawn("rect", { class: kind, x: x(start), y: top, width: wide, height: bottom - top });
    shade.append(drawn("title", {}, part.said));
    svg.append(shade);
    if (kind === "partial" && wide > part.said.length * 7) {
      svg.append(drawn("text", { class: "label", x: x(start) + wide / 2, y: top + 14, "text-anchor": "middle" }, part.said));
    }
  }
  for (let line = 0; line <= 4; line += 1) {
    const value = most * line / 4;
    svg.append(drawn("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
    svg.append(drawn("text", { class: "label", x: left - 8, y: y(value) + 4, "text-anchor": "end" }, rate(value)));
  }
  const tick = (right - left < 480 ? 10 : 5) * 60_000;
  for (let time = Math.ceil(from / tick) * tick; time <= until; time += tick) {
    const anchor = x(time) > right - 20 ? "end" : "middle";
    svg.append(drawn("text", { class: "label", x: x(time), y: height - 6, "text-anchor": anchor }, clock.format(time)));
  }
  for (const { rows: known } of stretches(rows, (row) => row.rps !== null).filter(({ said }) => said)) {
    const open = known.length > 1 && known.at(-1).open ? known.slice(-2) : [];
    const over = known.slice(0, known.length - Math.sign(open.length));
    if (over.length === 1) svg.append(drawn("circle", { class: "alone", cx: x(over[0].time), cy: y(over[0].rps), r: 3 }));
    if (over.length > 1) {
      const line = `M${over.map(at).join("L")}`;
      svg.append(drawn("path", { class: "area", d: `${line}L${x(over.at(-1).time)} ${bottom}L${x(over[0].time)} ${bottom}Z` }));
      svg.append(drawn("path", { class: "series", d: line }));
    }
    if (open.length > 0) {
      const line = drawn("path", { class: "series open", d: `M${open.map(at).join("L")}` });
      line.append(drawn("title", {}, "not over yet"));
      svg.append(line);
    }
  }
  const cursor = drawn("line", { class: "cursor", y1: top, y2: bottom, visibility: "hidden" });
  svg.append(cursor);
  const tip = element("div", { class: "tip", hidden: "" });
  box.replaceChildren(svg, tip);
  svg.addEventListener("pointermove", (event) => {
    const time = from + (until - from) * (event.offsetX - left) / (right - left);
    const nearest = rows.reduce((best, row) => (Math.abs(row.time - time) < Math.abs(best.time - time) ? row : best));
    cursor.setAttribute("x1", x(nearest.time));
    cursor.setAttribute("x2", x(nearest.time));
    cursor.setAttribute("visibility", "visible");
    const value = nearest.rps === null ? "" : `${rate(nearest.rps)} requests/s`;
    const said = [value, missing(nearest), nearest.open ? "not over yet" : ""].filter((text) => text !== "");
    tip.textContent = `${clock.format(nearest.time)}  ${said.join(", ")}`;
    tip.hidden = false;
    tip.style.left = `${Math.min(x(nearest.time) + 10, right - tip.offsetWidth)}px`;
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    tip.hidden = true;
  });
}

// The machine

/** What is drawn of a machine, and in what it is told. */
const GAUGES = [
  { title: "Processors", metric: "cpu_percent", label: "total", most: 100, word: (value) => `${rate(value)} %` },
  { title: "Memory used", metric: "memory_used_bytes", label: "", whole: "memory_total_bytes", word: bytes },
  { title: "Load, 1 minute", metric: "load_1m", label: "", word: rate },
];

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 })} ${units[unit]}`;
}

/** Buckets of the gauges' metrics and of disks, of one server. */
async function askMachine(server, now) {
  const metrics = [...GAUGES.flatMap(({ metric, whole }) => (whole ? [metric, whole] : [metric])), "disk_used_bytes", "disk_total_bytes"];
  const parameters = new URLSearchParams({ server_id: server, interval: "5m", limit: 100_000, date_from: Math.floor(now / 1000) - MACHINE_S });
  for (const metric of metrics) parameters.append("metric", metric);
  return (await ask("monitoring/system/aggregate", parameters)).rows;
}

function showMachine(rows, server) {
  byId("machine").hidden = server === "";
  if (server === "") return;
  byId("machine-note").textContent = `last ${MACHINE_S / 3600} hours, by 5 minutes`;
  const of = (metric, label) => rows.filter((row) => row.metric === metric && row.label === label);
  const gauges = GAUGES.map((gauge) => ({ ...gauge, rows: of(gauge.metric, gauge.label), whole: of(gauge.whole, "").at(-1)?.last }));
  const pieces = gauges.filter((gauge) => gauge.rows.length > 0).map(sparkline);
  const mounts = [...new Set(rows.filter((row) => row.metric === "disk_total_bytes").map((row) => row.label))];
  const disks = mounts.map((mount) => disk(mount, of("disk_used_bytes", mount).at(-1)?.last, of("disk_total_bytes", mount).at(-1)?.last));
  if (disks.length > 0) pieces.push(element("div", { class: "gauge" }, element("h3", {}, "Disks"), ...disks));
  byId("gauges").replaceChildren(...(pieces.length > 0 ? pieces : [element("p", { class: "empty" }, "Nothing was measured of this machine.")]));
}

/** A metric's mean, with its range behind it; the newest value in words. */
function sparkline({ title, rows, whole, most, word }) {
  const [width, height] = [320, 72];
  const top = whole ?? most ?? niceCeiling(Math.max(...rows.map((row) => row.max)));
  const times = rows.map((row) => Date.parse(row.time));
  const span = Math.max(times.at(-1) - times[0], 300_000);
  const at = (index, value) => `${(width * (times[index] - times[0]) / span).toFixed(1)} ${(height - height * value / top).toFixed(1)}`;
  const line = (column) => rows.map((row, index) => at(index, row[column]));
  const last = rows.at(-1);
  const words = whole ? `${word(last.last)} of ${word(whole)}` : word(last.last);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${words}` });
  svg.append(drawn("path", { class: "range", d: `M${line("max").join("L")}L${line("min").reverse().join("L")}Z` }));
  svg.append(drawn("path", { class: "series", d: `M${line("avg").join("L")}` }));
  svg.append(drawn("title", {}, `${title}: the mean of each 5 minutes, and from least to greatest`));
  return element("div", { class: "gauge" }, element("h3", {}, title, " ", element("span", { class: "muted" }, words)), svg);
}

function disk(mount, used, whole) {
  if (used === undefined || whole === undefined) return "";
  const words = `${bytes(used)} of ${bytes(whole)}`;
  const bar = element("meter", { min: 0, max: whole, high: whole * 0.9, value: used, title: words });
  return element("div", { class: "disk" }, element("span", { title: mount }, mount), bar, element("span", { class: "muted" }, words));
}

// Records

function table(rows, columns, caption) {
  const head = element("tr", {}, ...columns.map(([title, kind]) => element("th", { scope: "col", class: kind }, title)));
  const body = rows.map((row) => element("tr", {}, ...columns.map(([, kind, cell]) => cell(row, kind))));
  return element("table", { "aria-label": caption }, element("thead", {}, head), element("tbody", {}, ...body));
}

function showRecords(top, idle, now) {
  const host = ["Record", "host", (row, kind) => element("td", { class: kind, title: row.host }, row.host)];
  const type = ["Type", "kind", (row, kind) => element("td", { class: kind, title: row.type }, row.type)];
  const hits = ["Requests", "hits number", (row, kind) => element("td", { class: kind }, numbers.format(row.hits))];
  const last = ["Last access", "when", (row, kind) => element("td", { class: kind }, moment(row.last_access, now))];

  byId("top-note").textContent = top.total > top.rows.length
    ? `${top.rows.length} of ${numbers.format(top.total)}, all time` : "all time";
  byId("top").replaceChildren(top.rows.length > 0
    ? table(top.rows, [host, type, hits, last], "Most requested records")
    : element("p", { class: "empty" }, "No record was requested yet."));
  byId("idle-note").textContent = idle.total === 1 ? "1 record" : `${numbers.format(idle.total)} records`;
  byId("idle").replaceChildren(idle.rows.length > 0
    ? table(idle.rows, [host, type, last], "Records that were not requested for longest")
    : element("p", { class: "empty" }, "Each record that was ever requested was requested since."));
}

/** Whether the probes listened all the time: without that, what was not requested may only not have been seen. */
function showDoubt(steps, step_s) {
  const over = steps.filter((step) => !step.open);
  const missed = over.filter((step) => step.servers === 0 || step.observed_servers < step.servers);
  const time = (steps) => (step_s < 3600 ? `${steps.length * step_s / 60} min` : `${steps.length * step_s / 3600} h`);
  byId("idle-doubt").hidden = missed.length === 0;
  byId("idle-doubt").textContent = missed.length === 0 ? ""
    : `Of these ${time(over)}, ${time(missed)} were not or only partly observed: records may have been requested then.`;
}

// Together

let turn = 0;
let timer;

function selection() {
  const server = byId("server").value;
  return server === "" ? {} : { server_id: server };
}

/** Records that were last requested before this, those first that were not requested for longest. */
function idleSince(now) {
  const accessed_to = Math.floor(now / 1000) - Number(byId("age").value);
  return { accessed_to, exists: byId("exists").value, sort: "last_access" };
}

/** Steps of the time in which idle records were not requested, seconds. */
const idleStep = () => (Number(byId("age").value) <= 86_400 ? 300 : 3600);

/** Asks when the probes listened in that time, and of no name that anybody has: hits need not be read. */
function askListened(now, selected) {
  const { accessed_to } = idleSince(now);
  const date_from = accessed_to - (accessed_to % idleStep());
  return ask("monitoring/dns/rps", { date_from, step: idleStep(), host: "listened.invalid", limit: 10_000, ...selected });
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const now = Date.now();
    const server = byId("server").value;
    history.replaceState(null, "", `#${new URLSearchParams({ server, age: byId("age").value, exists: byId("exists").value })}`);
    const selected = selection();
    const date_from = Math.floor(now / 60_000) * 60 - WINDOW_S;
    // It tells even when the rest cannot be had.
    const why = await unready();
    if (mine !== turn) return;
    showUnready(why);
    const [servers, fleet, rates, chart, reports, top, idle, listened, machine] = await Promise.all([
      ask("servers", {}),
      ask("monitoring/heartbeat", { limit: 1000 }),
      ask("monitoring/dns/rps", { date_from, by: "server", limit: 10_000 }),
      ask("monitoring/dns/rps", { date_from, limit: 10_000, ...selected }),
      ask("monitoring/dns/coverage", { date_from, sort: "-time", limit: 1000 }),
      ask("monitoring/dns/aggregate", { limit: 20, ...selected }),
      ask("monitoring/dns/aggregate", { ...idleSince(now), limit: 20, ...selected }),
      askListened(now, selected),
      server === "" ? [] : askMachine(server, now),
    ]);
    if (mine !== turn) return;
    showServers(servers.rows, fleet.rows, rates.rows, reports.rows, now);
    showFleet(fleet, now);
    chartRows = chart.rows;
    showChart();
    showMachine(machine, server);
    showRecords(top, idle, now);
    showDoubt(listened.rows, idleStep());
    showPartial(fleet.rows, server);
    byId("updated").textContent = `updated ${seconds.format(now)}`;
    byId("trouble").hidden = true;
  } catch (error) {
    if (mine !== turn) return;
    byId("trouble").textContent = `The numbers could not be had: ${error.message}. Trying again.`;
    byId("trouble").hidden = false;
  }
  timer = setTimeout(refresh, REFRESH_MS);
}

// What was chosen stands behind the address, so that it stays and can be passed on.
const wished = new URLSearchParams(location.hash.slice(1));
if (wished.has("age")) byId("age").value = wished.get("age");
if (wished.has("exists")) byId("exists").value = wished.get("exists");
if (byId("exists").value === "") byId("exists").selectedIndex = 0;
if (wished.has("server")) {
  byId("server").append(element("option", { value: wished.get("server") }, "…"));
  byId("server").value = wished.get("server");
}
if (byId("age").value === "") byId("age").selectedIndex = 0;

byId("server").addEventListener("change", refresh);
byId("age").addEventListener("change", refresh);
byId("exists").addEventListener("change", refresh);
byId("save-top").addEventListener("click", ({ currentTarget }) =>
  save(currentTarget, "records", "monitoring/dns/aggregate", selection()));
byId("save-idle").addEventListener("click", ({ currentTarget }) =>
  save(currentTarget, "idle-records", "monitoring/dns/aggregate", { ...idleSince(Date.now()), ...selection() }));
new ResizeObserver(() => { if (chartRows.length > 0) showChart(); }).observe(byId("chart"));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
