import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { monitoring } = await load("views/server/monitoring");

const chart = (metric, value) => {
  const { title, format } = monitoring.figureOf(metric);
  return [title, format(value)];
};

test("a metric that the page does not know has a chart by its name and unit", () => {
  assert.deepEqual(chart("dhcp4_assigned_addresses", 1234), ["DHCPv4: Assigned addresses", "1,234"]);
  assert.deepEqual(chart("dhcp6_packets_received_per_s", 0.2), ["DHCPv6: Packets received", "0.2/s"]);
  assert.deepEqual(chart("knot_response_code_per_s", 12), ["Knot DNS: Response code", "12/s"]);
  assert.deepEqual(chart("knot_response_bytes_per_s", 2048), ["Knot DNS: Response bytes", "2 KiB/s"]);
  assert.deepEqual(chart("knot_edns_presence_per_s", 1), ["Knot DNS: EDNS presence", "1/s"]);
  assert.deepEqual(chart("cache_bytes", 2048), ["Cache", "2 KiB"]);
  assert.deepEqual(chart("fan_percent", 3), ["Fan", "3%"]);
  assert.deepEqual(chart("x", 3), ["X", "3"]);
});
