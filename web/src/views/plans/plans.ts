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

/** Whether a record can be taken out of its plan: what was done in the zone is undone with the plan only. */
export const canLeave = ({ stage }: ItemBody): boolean => stage === "marked" || stage === "restored";

export const addRecords = ({ retirement_id }: PlanBody, ids: readonly number[]): Promise<PlanBody> =>
  send<PlanBody>("PATCH", `${CALL}/${retirement_id}`, { add_resource_ids: ids });

export const takeRecordsOut = ({ retirement_id }: PlanBody, ids: readonly number[]): Promise<PlanBody> =>
  send<PlanBody>("PATCH", `${CALL}/${retirement_id}`, { remove_resource_ids: ids });
