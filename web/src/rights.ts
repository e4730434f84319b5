// What the rights are called.
import type { RightsBody } from "./types";

export const RIGHT_TITLES: Record<keyof RightsBody, string> = {
  monitoring: "Monitoring",
  server_read: "See servers",
  server_create: "Add servers",
  server_update: "Change servers",
  server_delete: "Remove servers",
  zones: "Zones",
  retirement: "Retirement",
};

export const rightTitle = (name: string): string =>
  Object.hasOwn(RIGHT_TITLES, name) ? RIGHT_TITLES[name as keyof RightsBody] : name;

/** A refusal of the API with rights as the forms call them. */
export const withRightTitles = (text: string): string =>
  text.replace(/\b(the right )([a-z_]+)/g, (all, before: string, name: string) =>
    Object.hasOwn(RIGHT_TITLES, name) ? `${before}“${rightTitle(name)}”` : all,
  );
