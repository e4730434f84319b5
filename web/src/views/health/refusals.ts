// What was refused or left out since the central started, by reason.
import type { Metrics } from "./prometheus";

export interface Refusal {
  id: string;
  what: string;
  count: number;
  meaning: string;
}

const COUNTERS: readonly (readonly [metric: string, what: string, meaning: string])[] = [
  [
    "server_batches_too_old",
    "Batches too old",
    "They tell of a time before [ingest] max_age_days. Their probes keep them: zonepulse-probe resend.",
  ],
  [
    "server_batches_overlapping_refused",
    "Batches of a second probe",
    "Another probe with the same token covers their time. Give every probe a token of its own.",
  ],
  [
    "server_batches_ahead",
    "Batches from the future (attempts)",
    "The probe's clock is ahead of the central's. The probe tries again; check time synchronisation.",
  ],
  [
    "server_batches_evicted",
    "Batches discarded by probes",
    "A probe's spool was full before the central had them. That time is lost; see the causes above.",
  ],
  [
    "batches_postponed",
    "Batches postponed",
    "Too many were on the way. Their probes send them again, so nothing is lost.",
  ],
  [
    "batches_without_room",
    "Batches without room",
    "There was no memory to receive them. Their probes send them again.",
  ],
  [
    "server_names_folded",
    "New names counted as <other>",
    "A server exceeded its share or rate of new names. Sums are right, single names are missing.",
  ],
  [
    "server_points_folded",
    "Points counted as <other>",
    "A server exceeded its share of totals. Sums are right, single records are too low.",
  ],
  [
    "server_series_points_refused",
    "Metric points refused",
    "A server exceeded its share of metric series, such as disks or devices.",
  ],
  [
    "late_accesses_dropped",
    "Late accesses dropped",
    "They were reported after their zone had changed, and too many waited. Last use may be later than shown.",
  ],
  [
    "pull_batches_refused",
    "Pulled batches refused",
    "They were fetched from a probe and refused for good; the log has the reasons.",
  ],
  ["http_requests_wrong_credentials", "Requests with wrong credentials", "The log names the addresses."],
  ["tls_handshake_failures", "TLS handshakes that failed", "The log has the reasons."],
];

const BROKER: Record<string, string> = {
  ahead: "the probe's clock is ahead",
  interval: "the interval is not allowed",
  malformed: "the message is malformed",
  no_token: "the server has no token",
  other: "see the log",
  overlaps: "another probe covers the time",
  too_late: "its time has been closed",
  too_old: "it tells of a time too long ago",
  unknown_server: "the server is unknown or removed",
  unknown_version: "the format is of another version",
  unsigned: "it has no signature",
  wrong_signature: "its signature is wrong",
};

export function refusalsOf(metrics: Metrics): Refusal[] {
  const refusals = COUNTERS.map(([metric, what, meaning]) => ({
    id: metric,
    what,
    count: metrics.sum(`zonepulse_${metric}_total`) ?? 0,
    meaning,
  }));
  for (const { labels, value } of metrics.all("zonepulse_rabbitmq_messages_refused_total")) {
    const reason = labels.reason ?? "other";
    refusals.push({
      id: `broker ${reason}`,
      what: "Messages of the broker",
      count: value,
      meaning: `Moved to the dead-letter queue: ${BROKER[reason] ?? reason.replaceAll("_", " ")}.`,
    });
  }
  return refusals.filter(({ count }) => count > 0);
}
