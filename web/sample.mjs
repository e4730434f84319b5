// A fleet for pictures of the page: four months of five DNS servers, sent to a central in minutes as their probes would
// have sent it (wire/src/codec.rs and wire/src/system.rs describe the formats), and heartbeats for as long as it runs.
import { Agent, request } from "node:http";
import { crc32 } from "node:zlib";

const MINUTE = 60;
const DAY = 86_400;
const INTERVAL = 300;

/** The same numbers at every run. */
let state = 20;
function random() {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}

const TYPES = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, HTTPS: 65 };
const [REQUEST, NOERROR, SERVFAIL, NXDOMAIN, REFUSED] = [0, 1, 3, 4, 6];

/** Names with their share of the queries and, if it is not forever, the days before now on which they were queried. */
const QUERIES = {
  "example.com.": [
    "www A 240, www AAAA 130, www HTTPS 60, @ A 110, @ AAAA 40, @ MX 70, @ NS 22, @ TXT 36, @ SOA 6, api A 150",
    "api AAAA 44, login A 88, login AAAA 26, shop A 64, shop AAAA 18, cdn CNAME 92, mail A 58, mail AAAA 14, smtp A 9",
    "autodiscover CNAME 12, _dmarc TXT 28, s1._domainkey TXT 17, static A 40, img A 33, vpn A 11, git A 16, ci A 13",
    "wiki A 8, tickets A 7, chat A 6, ns1 A 5, ns2 A 5, ns1 AAAA 3, _sip._tcp SRV 3, voice A 3, status A 4, ldap A 2",
    "sso A 21, reports A 0.4, _acme-challenge.www TXT 0.02, quarterly A 0.01",
    // No longer
    "old-shop A 5 120-96, intranet A 2 120-101, backup A 0.6 120-109, ftp A 1 120-93, legacy-api A 3 120-98",
    "old-shop AAAA 1 120-96, m A 2 120-112, survey-2024 A 1 120-104, wpad A 5, isatap A 2, ww A 3, mial A 1",
    "autoconfig A 2, _ldap._tcp SRV 2, cpanel A 1, wp-login A 1, dev A 1",
  ],
  "example.org.": [
    "www A 70, www AAAA 30, @ A 34, @ MX 18, @ NS 8, @ TXT 9, mail A 14, donate A 11, events A 7, blog CNAME 16",
    "_dmarc TXT 6, news A 3, archive A 0.2, wpad A 2, backup A 1",
  ],
  "corp.example.": [
    "dc1 A 60, dc2 A 44, _ldap._tcp SRV 38, _kerberos._tcp SRV 30, print A 10, files A 22, @ SOA 14, @ NS 4, wpad A 18",
    "intranet A 26, meet A 12, scanner A 2",
  ],
};
const NEGATIVE =
  /^(wpad|isatap|ww|mial|autoconfig|_ldap\._tcp|cpanel|wp-login|dev|backup)\.(example\.(com|org))\.|^wpad\.corp/;

const recordsOf = (zones) =>
  zones.flatMap((zone) =>
    QUERIES[zone]
      .join(", ")
      .split(", ")
      .map((text) => {
        const [label, type, share, days] = text.split(" ");
        const [from, until] = (days ?? "999-0").split("-").map(Number);
        const name = label === "@" ? zone : `${label}.${zone}`;
        const exists = name === "backup.example.com." || !NEGATIVE.test(name);
        return { name, type: TYPES[type], share: Number(share), from, until, exists };
      }),
  );

/** `gaps` and `days` are in days before now; `peak` is in queries per second. */
export const SERVERS = [
  {
    name: "ns1.prague",
    zones: ["example.com.", "example.org."],
    peak: 420,
    days: 120,
    os: "Debian GNU/Linux 13 (trixie)",
    components: {
      dns: ["knotd", "3.4.6"],
      dhcp4: ["kea-dhcp4", "2.6.3"],
      dhcp6: ["kea-dhcp6", "2.6.3"],
      backup: ["restic", "0.18.0"],
    },
  },
  {
    name: "ns2.vienna",
    zones: ["example.com.", "example.org."],
    peak: 310,
    days: 120,
    os: "Debian GNU/Linux 13 (trixie)",
    components: { dns: ["knotd", "3.4.6"], backup: ["restic", "0.18.0"] },
  },
  {
    name: "ns3.frankfurt",
    zones: ["example.org.", "corp.example."],
    peak: 130,
    days: 60,
    gaps: [
      [41.3, 39.8],
      [12.2, 11.9],
      [0.52, 0.41],
    ],
    os: "Debian GNU/Linux 12 (bookworm)",
    components: { dns: ["named", "9.18.33"], backup: ["restic", "0.17.3"] },
  },
  {
    name: "office.brno",
    zones: ["corp.example."],
    peak: 24,
    days: 30,
    os: "Debian GNU/Linux 12 (bookworm)",
    components: { dns: ["nsd", "4.6.1"], dhcp4: ["kea-dhcp4", "2.2.0", "stopped"] },
  },
  {
    name: "lab.ostrava",
    zones: ["corp.example."],
    peak: 6,
    days: 9,
    until: 0.11,
    silent: true,
    os: "Debian GNU/Linux 13 (trixie)",
    components: { dns: ["unbound", "1.22.0", "stopped"] },
  },
];

/** Little endian bytes, numbers of LEB128 and text. */
class Writer {
  #bytes = [];
  put(value) {
    let rest = BigInt(Math.round(value));
    for (; rest >= 128n; rest >>= 7n) this.#bytes.push(Number(rest & 127n) | 128);
    this.#bytes.push(Number(rest));
  }
  text(text) {
    this.#bytes.push(...Buffer.from(text));
  }
  zigzag(value) {
    this.put(value < 0 ? -2 * value - 1 : 2 * value);
  }
  done() {
    return Buffer.from(this.#bytes);
  }
}

/** A frame of Zstandard that compresses nothing (RFC 8878, section 3.1.1). */
function frame(body) {
  const head = Buffer.alloc(9);
  head.writeUInt32LE(0xfd2fb528, 0);
  head[4] = 0b1010_0000;
  head.writeUInt32LE(body.length, 5);
  const parts = [head];
  const most = 1 << 17;
  for (let at = 0; at === 0 || at < body.length; at += most) {
    const block = body.subarray(at, at + most);
    const size = Buffer.alloc(3);
    size.writeUIntLE((block.length << 3) | (at + most >= body.length ? 1 : 0), 0, 3);
    parts.push(size, block);
  }
  return Buffer.concat(parts);
}

let sequence = 0;
function message(version, server, body) {
  const head = Buffer.alloc(33);
  head.write("ZPBT");
  head[4] = version;
  head.writeUInt32LE(server, 5);
  head.writeBigUInt64LE(20n, 9);
  head.writeBigUInt64LE(BigInt(sequence++), 17);
  head.writeUInt32LE(body.length, 25);
  const packed = frame(body);
  head.writeUInt32LE(crc32(packed, crc32(head.subarray(0, 29))), 29);
  return Buffer.concat([head, packed]);
}

/** More by day than by night, and less on Saturday and Sunday. */
function load(at) {
  const hour = (at / 3600) % 24;
  const weekday = (Math.floor(at / DAY) + 4) % 7;
  const day = Math.exp(-(((hour - 10.5) / 3.4) ** 2)) + 0.75 * Math.exp(-(((hour - 16) / 4.2) ** 2));
  return 0.18 + day * (weekday === 0 || weekday === 6 ? 0.34 : 0.72);
}

const within = (server, at, now) => {
  const ago = (now - at) / DAY;
  return (
    !(server.gaps ?? []).some(([from, until]) => ago <= from && ago > until) && ago > (server.until ?? 0)
  );
};

/** What a server was asked in one interval. */
function interval(server, start, length, now) {
  const ago = (now - start) / DAY;
  const [records, rows] = [[], []];
  const total = server.records.reduce((sum, { share }) => sum + share, 0);
  const factor = load(start) * (0.92 + 0.16 * random());
  for (const { name, type, share, from, until, exists } of server.records) {
    if (ago > from || (until > 0 && ago < until)) continue;
    const expected = ((server.peak * length * share) / total) * factor * (0.85 + 0.3 * random());
    const hits = Math.floor(expected) + (random() < expected % 1 ? 1 : 0);
    if (hits === 0) continue;
    const [record, first] = [records.length, Math.floor(random() * 900)];
    const last = hits === 1 ? first : length * 1000 - 1 - Math.floor(random() * 900);
    records.push([name, type]);
    rows.push([record, REQUEST, hits, first, last]);
    const failed = hits > 400 ? Math.floor(hits * 0.002 * random()) : 0;
    const answers = [[exists ? NOERROR : NXDOMAIN, hits - failed]];
    if (failed > 0) answers.push([SERVFAIL, failed]);
    // In the order of their numbers.
    for (const [kind, some] of answers.sort(([a], [b]) => a - b))
      rows.push([record, kind, some, first, last]);
  }
  const refused = Math.floor(server.peak * length * 0.004 * random());
  if (refused > 0) {
    records.push(["open-resolver-test.example.", TYPES.A]);
    for (const kind of [REQUEST, REFUSED])
      rows.push([records.length - 1, kind, refused, 10, length * 1000 - 20]);
  }
  const out = new Writer();
  out.put(start);
  out.put(length);
  out.put(0);
  out.put(length * 1000);
  const messages = rows.reduce((sum, [, , hits]) => sum + hits, 0);
  const counters = [
    [1, messages],
    [2, messages],
  ];
  out.put(counters.length);
  for (const counter of counters) for (const number of counter) out.put(number);
  out.put(0);
  out.put(records.length);
  for (const [name] of records) out.put(name.length);
  for (const [, type] of records) out.put(type);
  for (const [name] of records) out.text(name);
  out.put(rows.length);
  rows.forEach(([record], at) => out.put(record - (rows[at - 1]?.[0] ?? 0)));
  for (const column of [1, 2, 4]) for (const row of rows) out.put(row[column]);
  for (const [, , , first, last] of rows) out.put(last - first);
  return message(1, server.id, out.done());
}

/** What a server's machine did in `slots` slots of a minute. */
function measurements(server, start, slots, now) {
  const busy = Array.from({ length: slots }, (_, slot) => load(start + slot * MINUTE));
  const noise = (part) => 1 - part + 2 * part * random();
  const weight = 0.35 + server.peak / 600;
  const gigabytes = 2 ** 30;
  const user = busy.map((each) => 4 + 52 * weight * each * noise(0.12));
  const system = busy.map((each) => 2 + 15 * weight * each * noise(0.15));
  const wait = busy.map(
    (each, slot) => ((start / MINUTE + slot) % 60 < 3 ? 6 : 0.4) * noise(0.5) * (0.5 + each),
  );
  const cpu = user.map((each, slot) => each + system[slot] + wait[slot]);
  const cores = [0, 1, 2, 3].map((core) =>
    cpu.map((each) => Math.min(100, each * (1.2 - core * 0.13) * noise(0.1))),
  );
  const flow = (amount) => busy.map((each) => Math.round(amount * server.peak * (0.1 + each) * noise(0.1)));
  const disk = (total, used, growth) => [
    busy.map(() => total * gigabytes),
    busy.map((_, slot) =>
      Math.round((used + growth * (1 - (now - start - slot * MINUTE) / DAY)) * gigabytes),
    ),
  ];
  const [root, rootUsed] = disk(40, 11.2, 0.05);
  const [data, dataUsed] = disk(200, 84, 3.5);
  const series = [
    ...cores.map((values, core) => ["cpu_percent", String(core), values, 1]),
    ["cpu_percent", "total", cpu, 1],
    ["cpu_iowait_percent", "total", wait, 1],
    ["cpu_system_percent", "total", system, 1],
    ["cpu_user_percent", "total", user, 1],
    ["disk_total_bytes", "/", root],
    ["disk_used_bytes", "/", rootUsed],
    ["disk_total_bytes", "/var/lib", data],
    ["disk_used_bytes", "/var/lib", dataUsed],
    ["disk_read_bytes_per_s", "nvme0n1", flow(900)],
    ["disk_written_bytes_per_s", "nvme0n1", flow(2600)],
    ["load_1m", "", busy.map((each) => 2.6 * weight * each * noise(0.25)), 2],
    ["load_5m", "", busy.map((each) => 2.6 * weight * each * noise(0.1)), 2],
    ["load_15m", "", busy.map((each) => 2.6 * weight * each), 2],
    ["memory_total_bytes", "", busy.map(() => 16 * gigabytes)],
    ["memory_used_bytes", "", busy.map((each) => Math.round((5.1 + 2.2 * each * noise(0.04)) * gigabytes))],
    ["network_received_bytes_per_s", "eth0", flow(92)],
    ["network_sent_bytes_per_s", "eth0", flow(210)],
    ["probe_cpu_percent", "", busy.map((each) => 0.2 + 1.6 * weight * each * noise(0.1)), 1],
    ["probe_memory_bytes", "", busy.map((each) => Math.round((17 + 5 * each) * 2 ** 20))],
    ["processes", "", busy.map((each) => Math.round(142 + 9 * each * noise(0.4)))],
    ["swap_total_bytes", "", busy.map(() => 0)],
    ["swap_used_bytes", "", busy.map(() => 0)],
    ["tcp_connections", "established", busy.map((each) => Math.round(18 + 90 * weight * each * noise(0.2)))],
    ["tcp_connections", "listen", busy.map(() => 14)],
    ["tcp_connections", "time_wait", busy.map((each) => Math.round(10 + 130 * weight * each * noise(0.3)))],
    ["udp_sockets", "", busy.map(() => 22)],
  ];
  series.sort(([a, b], [c, d]) => (a < c || (a === c && b < d) ? -1 : 1));
  const metrics = [...new Set(series.map(([metric]) => metric))];
  const out = new Writer();
  for (const number of [start, MINUTE, slots, 0, metrics.length]) out.put(number);
  for (const metric of metrics) {
    out.put(metric.length);
    out.put(series.filter(([name]) => name === metric).length);
  }
  for (const [, label] of series) out.put(label.length);
  for (const metric of metrics) out.text(metric);
  for (const [, label] of series) out.text(label);
  for (const [, , values, scale = 0] of series) {
    out.put((1 << 3) | scale);
    let before = 0;
    for (const value of values) {
      const number = Math.round(value * 10 ** scale);
      out.zigzag(number - before);
      before = number;
    }
  }
  return message(2, server.id, out.done());
}

/** Sends the past of all servers to the central, and returns a function that stops what then goes on. */
export async function play(central, servers) {
  const agent = new Agent({ keepAlive: true, maxSockets: 48 });
  const post = (path, token, type, body) =>
    new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        "content-type": type,
        "content-length": body.length,
      };
      const call = request(new URL(path, central), { method: "POST", agent, headers }, (answer) => {
        let text = "";
        answer.on("data", (part) => (text += part));
        answer.on("end", () =>
          answer.statusCode < 300 ? resolve() : reject(new Error(`${path}: ${answer.statusCode} ${text}`)),
        );
      });
      call.on("error", reject);
      call.end(body);
    });
  const batch = (server, body) =>
    post("/api/v2/batches", server.token, "application/vnd.zonepulse.batch", body);
  const now = Math.floor(Date.now() / 1000 / MINUTE) * MINUTE;
  const fleet = servers.map((server) => ({ ...server, records: recordsOf(server.zones) }));

  /** Heartbeats and new intervals, as long as the pictures are taken. */
  const beat = async (server) => {
    const at = Date.now();
    const component = ([name, version, componentState = "running"]) => ({
      name,
      version,
      state: componentState,
    });
    const components = Object.fromEntries(
      Object.entries({ ...server.components, monitor: ["zonepulse-probe", "0.1.0"] }).map(([kind, each]) => [
        kind,
        component(each),
      ]),
    );
    const body = {
      sent_at_ms: at,
      epoch: 20,
      probe_version: "0.1.0",
      uptime_s: server.days * DAY,
      hostname: server.name,
      os: server.os,
      settings_version: null,
      components,
      capture: { state: "running" },
      spool: { batches: 0, size_bytes: 0 },
    };
    await post("/api/v2/monitoring/heartbeat", server.token, "application/json", JSON.stringify(body));
  };
  for (const server of fleet) {
    // In parallel, but not all at once.
    let pending = [];
    const send = async (body) => {
      pending.push(batch(server, body));
      if (pending.length >= 48) await Promise.all(pending.splice(0));
    };
    const begin = Math.ceil((now - server.days * DAY) / INTERVAL) * INTERVAL;
    const fine = Math.floor(now / INTERVAL) * INTERVAL;
    for (let at = begin; at < fine; at += INTERVAL)
      if (within(server, at, now)) await send(interval(server, at, INTERVAL, now));
    for (let at = fine; at < now; at += MINUTE)
      if (within(server, at, now)) await send(interval(server, at, MINUTE, now));
    for (let at = now - DAY * 2; at < now; at += 60 * MINUTE) {
      const [start, slots] = [at, Math.min(60, (now - at) / MINUTE)];
      if (within(server, start, now) && within(server, start + 59 * MINUTE, now))
        await send(measurements(server, start, slots, now));
    }
    await Promise.all(pending);
    pending = [];
    if (server.silent) await beat(server);
  }
  let sent = now;
  const live = fleet.filter(({ silent }) => !silent);
  const go = async () => {
    for (const server of live) await beat(server).catch(() => undefined);
    for (; sent + MINUTE <= Date.now() / 1000; sent += MINUTE) {
      for (const server of live) {
        await batch(server, interval(server, sent, MINUTE, now)).catch(() => undefined);
        await batch(server, measurements(server, sent, 1, now)).catch(() => undefined);
      }
    }
  };
  await go();
  const timer = setInterval(() => void go(), 29_000);
  return () => {
    clearInterval(timer);
    agent.destroy();
  };
}
