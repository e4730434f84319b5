// All views. A view is a folder with `view.tsx`, loaded when it is first shown, and `view.css`, listed in css/index.css.
import type { ComponentType } from "preact";
import type { Right } from "../session";
import type { IconName } from "../ui/icons";

export interface ViewProps {
  /** All parts of the path, the view's own included. */
  path: readonly string[];
  params: URLSearchParams;
}

export interface View {
  load: () => Promise<{ default: ComponentType<ViewProps> }>;
  /** Without this right, the view is not offered. */
  right?: Right;
}

/** By the start of the path; `*` is any part. The most precise one counts. */
export const views: Record<string, View> = {
  delete: { load: () => import("./delete/view"), right: "monitoring" },
  plans: { load: () => import("./plans/view"), right: "monitoring" },
  "plans/*": { load: () => import("./plans/view"), right: "monitoring" },
  zones: { load: () => import("./zones/view"), right: "monitoring" },
  "zones/*": { load: () => import("./zones/view"), right: "monitoring" },
  records: { load: () => import("./records/view"), right: "monitoring" },
  record: { load: () => import("./record/view"), right: "monitoring" },
  servers: { load: () => import("./servers/view"), right: "monitoring" },
  "servers/add": { load: () => import("./server-add/view"), right: "server_create" },
  "servers/*": { load: () => import("./server/view"), right: "monitoring" },
  health: { load: () => import("./health/view"), right: "monitoring" },
  settings: { load: () => import("./settings/view"), right: "server_read" },
  // Everybody has an account; the others are for administrators.
  users: { load: () => import("./users/view") },
  "users/*": { load: () => import("./users/view") },
  audit: { load: () => import("./audit/view"), right: "administrator" },
};

const missing: View = { load: () => import("./missing/view") };

export const HOME = "delete";

/** The name of the view of a path. */
export function viewNameOf(path: readonly string[]): string {
  const [first = HOME, second] = path;
  if (second === undefined) return first;
  return [`${first}/${second}`, `${first}/*`].find((name) => Object.hasOwn(views, name)) ?? "";
}

export const viewOf = (name: string): View =>
  Object.hasOwn(views, name) ? (views[name] ?? missing) : missing;

export interface NavigationItem {
  title: string;
  /** The title for those who are not administrators, if it differs. */
  plain?: string;
  path: string;
  icon: IconName;
  /** First parts of paths that belong to it as well. */
  also?: readonly string[];
}

export const navigation: readonly (readonly NavigationItem[])[] = [
  [
    { title: "Safe to delete?", path: "delete", icon: "delete" },
    { title: "Retirement plans", path: "plans", icon: "plans" },
    { title: "Records", path: "records", icon: "records", also: ["record"] },
    { title: "Zones", path: "zones", icon: "zones" },
  ],
  [
    { title: "Servers", path: "servers", icon: "servers" },
    { title: "Health", path: "health", icon: "health" },
  ],
  [
    { title: "Settings", path: "settings", icon: "settings" },
    { title: "Users", plain: "Your account", path: "users", icon: "users" },
    { title: "Audit log", path: "audit", icon: "audit" },
  ],
];
