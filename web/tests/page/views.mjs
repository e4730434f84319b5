// Every view, and the heading by which it is known. `{zone}`, `{server}` and `{plan}` are ids of the world.
import { api } from "./page.mjs";

export const NAVIGATION = [
  ["Safe to delete?", "delete", /^Safe to delete\?$/],
  ["Retirement plans", "plans", /^Retirement plans$/],
  ["Records", "records", /^Records$/],
  ["Zones", "zones", /^Zones$/],
  ["Servers", "servers", /^Servers$/],
  ["Health", "health", /^Health$/],
  ["Settings", "settings", /^Settings$/],
  ["Users", "users", /^Users$/],
  ["Audit log", "audit", /^Audit log$/],
];

/** Everything else that has an address. */
const FURTHER = [
  ["plans/{plan}", /^spring <i>cleaning<\/i>/],
  ["zones/add", /zone/i],
  ["zones/{zone}", /^shop\.example\./],
  ["zones/{zone}?tab=records", /^shop\.example\./],
  ["zones/{zone}?tab=settings", /^shop\.example\./],
  ["record?host=www.shop.example.&type=A", /^www\.shop\.example\./],
  ["record?host=missing.shop.example.&type=A&range=1h", /^missing\.shop\.example\./],
  ["servers/add", /^Add server$/],
  ["servers/{server}", /^ns1/],
  ["servers/{server}/services", /^ns1/],
  ["servers/{server}/monitoring?range=6h", /^ns1/],
  ["servers/{server}/rps", /^ns1/],
  ["users/viewer", /viewer/],
  ["users?do=add", /^Users$/],
  ["nowhere", /^No such view$/],
];

export async function everyView() {
  const [zones, servers, plans] = await Promise.all(
    ["zones", "servers", "retirements"].map(async (list) => (await api(`/api/v2/${list}`)).json),
  );
  const ids = {
    zone: zones.find(({ zone }) => zone === "shop.example.").zone_id,
    server: servers.find(({ server }) => server === "ns1").server_id,
    plan: plans[0].retirement_id,
  };
  const filled = (address) => address.replace(/\{(\w+)\}/g, (_, name) => String(ids[name]));
  return [
    ...NAVIGATION.map(([, address, title]) => ({ address, title })),
    ...FURTHER.map(([address, title]) => ({ address: filled(address), title })),
  ];
}
