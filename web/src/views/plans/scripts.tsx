// What brings a plan's records to a stage, and back.
import { call } from "../../api";
import { useQuery } from "../../query";
import { change, flag, oneOf, route } from "../../route";
import type { PlanBody } from "../../types";
import { CodeBox, Loaded, SelectField } from "../../ui";
import { CALL } from "./plans";

const FORMATS = ["nsupdate", "knsupdate", "knotc", "diff", "csv"] as const;
type Format = (typeof FORMATS)[number];
const FORMAT_WORDS: Record<Format, string> = {
  nsupdate: "nsupdate (BIND)",
  knsupdate: "knsupdate (Knot)",
  knotc: "knotc (Knot, shell script)",
  diff: "Zone diff",
  csv: "CSV list",
};
const ENDINGS: Record<Format, string> = {
  nsupdate: "nsupdate",
  knsupdate: "knsupdate",
  knotc: "sh",
  diff: "diff",
  csv: "csv",
};

export type ScriptStage = "ttl_lowered" | "removed" | "restored";

export function Scripts({ plan, stage, title }: { plan: PlanBody; stage: ScriptStage; title: string }) {
  const params = route.value.params;
  const format = oneOf(params, "format", FORMATS, "nsupdate");
  // A list has no way back.
  const undo = flag(params, "undo") && format !== "csv";
  const id = plan.retirement_id;
  const asked = { format, stage, undo: undo ? true : null };
  const query = useQuery(
    `export ${id} ${JSON.stringify(asked)}`,
    async (signal) => {
      const response = await call(`${CALL}/${id}/export`, { params: asked, accept: "text/plain", signal });
      return { text: await response.text() };
    },
    { refreshes: false },
  );
  const file = `${plan.zone.replace(/\.$/, "").replaceAll(/[^\w.-]/g, "_")}-plan-${id}-${undo ? "undo-" : ""}${stage}.${ENDINGS[format]}`;
  return (
    <div class="plans-scripts">
      <div class="row plans-script-choice">
        <SelectField
          label="Format"
          value={format}
          onValue={(value) => change({ format: value === "nsupdate" ? null : value }, { replace: true })}
          choices={FORMATS.map((each) => [each, FORMAT_WORDS[each]] as const)}
        />
        <div class="plans-direction" role="group" aria-label="Direction">
          <button
            type="button"
            aria-pressed={!undo}
            onClick={() => change({ undo: null }, { replace: true })}
          >
            {title}
          </button>
          <button
            type="button"
            aria-pressed={undo}
            disabled={format === "csv"}
            onClick={() => change({ undo: true }, { replace: true })}
          >
            Undo
          </button>
        </div>
      </div>
      <Loaded query={query} what="Writing the script">
        {({ text }) => (
          <CodeBox
            label={`${undo ? "Undo: " : ""}${title}, ${FORMAT_WORDS[format]}`}
            code={text}
            name={file}
          />
        )}
      </Loaded>
      <p class="muted small">
        The script checks that the zone still has the values of the plan, and changes nothing if it has
        others.
      </p>
    </div>
  );
}
