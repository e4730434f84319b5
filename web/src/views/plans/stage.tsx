import type { ItemBody, StageWord } from "../../types";
import { count } from "../../text";
import { State } from "../../ui";
import { STAGE, stageCounts, STAGES } from "./plans";

export function StageState({ stage }: { stage: StageWord }) {
  const { word, tone, icon } = STAGE[stage];
  return (
    <State tone={tone} icon={icon}>
      {word}
    </State>
  );
}

/** "12 marked, 3 removed" */
export function stagesText(items: readonly ItemBody[]): string {
  const counts = stageCounts(items);
  return STAGES.filter((stage) => counts[stage] > 0)
    .map((stage) => `${count(counts[stage])} ${STAGE[stage].word.toLowerCase().replace("ttl", "TTL")}`)
    .join(", ");
}
