// Calls and words of retirement plans.
import { send } from "../../api";
import type { ItemBody, PlanBody, StageWord } from "../../types";
import type { Tone } from "../../ui";
import type { IconName } from "../../ui/icons";

export const CALL = "retirements";

export const STAGES = ["marked", "ttl_lowered", "removed", "restored"] as const;

interface StageMeaning {
  word: string;
  tone: Tone;
  icon: IconName;
}

export const STAGE: Record<StageWord, StageMeaning> = {
  marked: { word: "Marked", tone: "info", icon: "clock" },
  ttl_lowered: { word: "TTL lowered", tone: "info", icon: "down" },
  removed: { word: "Removed", tone: "good", icon: "delete" },
  restored: { word: "Restored", tone: "neutral", icon: "refresh" },
};

/** How many of a plan's records are at each stage. */
export function stageCounts(items: readonly ItemBody[]): Record<StageWord, number> {
  const counts: Record<StageWord, number> = { marked: 0, ttl_lowered: 0, removed: 0, restored: 0 };
  for (const { stage } of items) counts[stage] += 1;
  return counts;
}

/** Whether the plan's records can be chosen anew: once something was done in the zone, its plan is what undoes it. */
export const isUntouched = ({ resources }: PlanBody): boolean =>
  resources.every(({ stage }) => stage === "marked");

/**
 * Gives a plan other records. The API cannot change them, so a new plan takes the place of the old one: it has another
 * number, and its records are marked from now on.
 */
export async function replaceRecords(plan: PlanBody, resource_ids: readonly number[]): Promise<PlanBody> {
  const { name, note, lowered_ttl, retirement_id } = plan;
  const made = await send<PlanBody>("POST", CALL, { name, note, lowered_ttl, resource_ids });
  await send("DELETE", `${CALL}/${retirement_id}`);
  return made;
}
