// The safe way: mark, wait, lower the TTL, remove; and back.
import { useState } from "preact/hooks";
import { useChange } from "../../query";
import { href, hrefWith, oneOf, route } from "../../route";
import { may } from "../../session";
import { count, duration, moment, now, plural, zoneName } from "../../text";
import type { AlertBody, PlanBody, StageWord } from "../../types";
import { Button, Confirm, Failure, Icon, Notice, State, Time, toast } from "../../ui";
import { setStage } from "./items";
import { STAGE, stageCounts } from "./plans";
import { Scripts, type ScriptStage } from "./scripts";

const STEPS = ["mark", "wait", "ttl", "remove", "restore"] as const;
type Step = (typeof STEPS)[number];

const TITLES: Record<Step, string> = {
  mark: "Mark",
  wait: "Wait",
  ttl: "Lower the TTL",
  remove: "Remove",
  restore: "Restore",
};

/** Days without a query that rule out a rhythm of use. */
const RHYTHMS = [
  [8, "weekly"],
  [35, "monthly"],
  [100, "quarterly"],
  [400, "yearly"],
] as const;

interface Progress {
  done: ReadonlySet<Step>;
  /** What is to be done next. */
  next: Step;
}

function progressOf({ resources }: PlanBody): Progress {
  const counts = stageCounts(resources);
  const total = resources.length;
  const done = new Set<Step>(["mark"]);
  if (counts.marked === 0) done.add("wait");
  if (counts.marked === 0 && counts.ttl_lowered + counts.removed + counts.restored === total) done.add("ttl");
  if (counts.marked + counts.ttl_lowered === 0) done.add("remove");
  if (counts.restored === total && total > 0) done.add("restore");
  const next = counts.marked > 0 ? "wait" : counts.ttl_lowered > 0 ? "remove" : "restore";
  return { done, next };
}

const latest = (times: readonly string[]): number => Math.max(...times.map((time) => Date.parse(time)));

export function Steps({ plan, alerts }: { plan: PlanBody; alerts: readonly AlertBody[] }) {
  const { done, next } = progressOf(plan);
  const step = oneOf(route.value.params, "step", STEPS, next);
  return (
    <section class="card plans-steps-card" aria-labelledby="steps">
      <h2 id="steps" class="visually-hidden">
        Steps
      </h2>
      <ol class="plans-steps">
        {STEPS.map((each, at) => {
          const state = done.has(each) ? "done" : each === next ? "next" : "later";
          return (
            <li key={each} class={state}>
              <a
                href={hrefWith({ step: each, undo: null })}
                aria-current={each === step ? "step" : undefined}
              >
                <span class="plans-step-mark" aria-hidden="true">
                  {state === "done" ? <Icon name="check" /> : at + 1}
                </span>
                <span>
                  <span class="plans-step-title">{TITLES[each]}</span>
                  <span class="muted small">
                    {each === "restore" && state !== "done"
                      ? "if it was needed"
                      : state === "done"
                        ? "done"
                        : state === "next"
                          ? "now"
                          : "later"}
                  </span>
                </span>
              </a>
            </li>
          );
        })}
      </ol>
      <div class="plans-step">
        {step === "mark" && <Mark plan={plan} />}
        {step === "wait" && <Wait plan={plan} alerts={alerts} />}
        {step === "ttl" && <Stage plan={plan} alerts={alerts} stage="ttl_lowered" />}
        {step === "remove" && <Stage plan={plan} alerts={alerts} stage="removed" />}
        {step === "restore" && <Stage plan={plan} alerts={alerts} stage="restored" />}
      </div>
    </section>
  );
}

function Mark({ plan }: { plan: PlanBody }) {
  return (
    <p>
      {plural(plan.resources.length, "record")} marked on <Time at={plan.created} /> by {plan.created_by}.
      From then on, whoever asks for one of them raises an alert here, in the log, in <code>/metrics</code>{" "}
      and by webhook. Nothing has changed in the zone.
    </p>
  );
}

function Wait({ plan, alerts }: { plan: PlanBody; alerts: readonly AlertBody[] }) {
  const marked = plan.resources.filter(({ stage }) => stage === "marked");
  const since = latest((marked.length > 0 ? marked : plan.resources).map((each) => each.marked));
  const waited = Math.max(0, (now.value - since) / 1000);
  return (
    <>
      <p>
        {alerts.length === 0 ? (
          <State tone="good">Nobody has asked for any of them</State>
        ) : (
          <State tone="bad">{plural(alerts.length, "record")} asked for since marked</State>
        )}{" "}
        in the {duration(waited)} since <Time at={since} />.
        {alerts.length > 0 && " Find out who needs them, or take them out of the plan, before you go on."}
      </p>
      <ul class="plans-rhythms">
        {RHYTHMS.map(([days, name]) => {
          const at = since + days * 86_400_000;
          const reached = now.value >= at;
          return (
            <li key={name}>
              <State tone={reached ? "good" : "neutral"} icon={reached ? "check" : "clock"}>
                {name.charAt(0).toUpperCase() + name.slice(1)} use
              </State>
              <span class="muted small">
                {reached ? "would have shown" : `would show by ${moment(at, "day")}`}
              </span>
            </li>
          );
        })}
      </ul>
      <p class="muted">
        The verdicts already looked back before the records were marked. Wait for the rarest use that you
        cannot rule out, then <a href={hrefWith({ step: "ttl" })}>lower the TTL</a>.
      </p>
    </>
  );
}

const WORDS: Record<ScriptStage, { title: string; why: string; from: readonly StageWord[]; ran: string }> = {
  ttl_lowered: {
    title: "Lower the TTL",
    why: "With a low TTL, resolvers come back soon: if the removal turns out to be wrong, the undo reaches everyone quickly.",
    from: ["marked"],
    ran: "TTL lowered",
  },
  removed: {
    title: "Remove",
    why: "Removes the records from the zone. Keep watching afterwards: whoever asks for one still raises an alert.",
    from: ["marked", "ttl_lowered"],
    ran: "Removed",
  },
  restored: {
    title: "Restore",
    why: "If somebody needs them after all: brings the records back as they were, with the TTLs from before they were lowered.",
    from: ["ttl_lowered", "removed"],
    ran: "Restored",
  },
};

function Stage({
  plan,
  alerts,
  stage,
}: {
  plan: PlanBody;
  alerts: readonly AlertBody[];
  stage: ScriptStage;
}) {
  const { title, why, from, ran } = WORDS[stage];
  const [asked, setAsked] = useState(false);
  const ready = plan.resources.filter((each) => from.includes(each.stage));
  const at = plan.resources.filter((each) => each.stage === stage);
  const counts = stageCounts(plan.resources);
  const lowered = plan.resources.filter((each) => each.stage === "ttl_lowered");
  // Until then, resolvers may hold records with the TTL from before.
  const settled =
    lowered.length === 0
      ? 0
      : latest(lowered.map(({ since }) => since)) + Math.max(...lowered.map(({ ttl }) => ttl)) * 1000;
  const change = useChange(
    () =>
      setStage(
        plan,
        stage,
        ready.map(({ resource_id }) => resource_id),
      ),
    () => {
      setAsked(false);
      toast(
        `${plural(ready.length, "record")} recorded as ${STAGE[stage].word.toLowerCase().replace("ttl", "TTL")}.`,
      );
    },
  );
  const risky = stage === "removed" && (alerts.length > 0 || counts.marked > 0);
  return (
    <>
      <p>{why}</p>
      {stage !== "restored" && alerts.length > 0 && (
        <Notice tone="bad">
          {plural(alerts.length, "record")} of this plan {alerts.length === 1 ? "was" : "were"} asked for
          since marked. <a href={hrefWith({ step: "wait" })}>Look at that first.</a>
        </Notice>
      )}
      {stage === "removed" && counts.marked > 0 && (
        <Notice tone="warn">
          The TTL of {plural(counts.marked, "record")} has not been lowered yet. An undo of the removal would
          take as long as the old TTLs and the negative TTL.{" "}
          <a href={hrefWith({ step: "ttl" })}>Lower the TTL first.</a>
        </Notice>
      )}
      {stage === "removed" && settled > now.value && (
        <Notice tone="warn">
          Resolvers may still hold the old TTL until {moment(settled, "minute")} {zoneName()}. Remove the
          records after that.
        </Notice>
      )}
      <ol class="plans-todo">
        <li>
          <h3>Run this on a machine that may update the zone</h3>
          <Scripts plan={plan} stage={stage} title={title} />
        </li>
        <li>
          <h3>Tell Zonepulse that you did</h3>
          {change.error && !asked && <Failure error={change.error} title="The stage was not recorded" />}
          {ready.length === 0 ? (
            <p class="muted">
              {at.length === plan.resources.length
                ? `All records are recorded as ${STAGE[stage].word.toLowerCase().replace("ttl", "TTL")}, since ${moment(latest(at.map(({ since }) => since)))} ${zoneName()}.`
                : stage === "restored"
                  ? "No record has been changed yet, so there is nothing to restore."
                  : "No record is at the stage before this one."}
            </p>
          ) : may("retirement") ? (
            <p class="row">
              <Button
                kind={risky ? "danger" : "primary"}
                icon="check"
                busy={change.busy}
                onClick={() => (risky ? setAsked(true) : change.run())}
              >
                Record {ready.length === plan.resources.length ? "all " : ""}
                {count(ready.length)} as {ran.toLowerCase().replace("ttl", "TTL")}
              </Button>
              <span class="muted small">This changes nothing in the zone.</span>
            </p>
          ) : (
            <p class="muted">Recording a stage needs the right to plan the deletion of records.</p>
          )}
        </li>
        {stage !== "restored" && (
          <li>
            <h3>{stage === "ttl_lowered" ? "Let the old TTL run out, then remove" : "Keep watching"}</h3>
            <p class="muted">
              {stage === "ttl_lowered" ? (
                <>
                  The largest TTL of the plan is{" "}
                  {duration(Math.max(0, ...plan.resources.map(({ ttl }) => ttl)))}. After that, go on to{" "}
                  <a href={hrefWith({ step: "remove" })}>Remove</a>.
                </>
              ) : (
                <>
                  Alerts go on. If one is raised, <a href={hrefWith({ step: "restore" })}>restore</a> the
                  records; delete the plan when you are sure. See <a href={href("plans")}>all plans</a>.
                </>
              )}
            </p>
          </li>
        )}
      </ol>
      {asked && (
        <Confirm
          title={`Record ${plural(ready.length, "record")} as removed?`}
          action="Record as removed"
          busy={change.busy}
          onConfirm={() => change.run()}
          onClose={() => setAsked(false)}
        >
          {alerts.length > 0 && (
            <p>
              <strong>{plural(alerts.length, "record")}</strong> of the plan{" "}
              {alerts.length === 1 ? "was" : "were"} asked for since marked.
            </p>
          )}
          {counts.marked > 0 && (
            <p>
              The TTL of <strong>{plural(counts.marked, "record")}</strong> was not lowered before.
            </p>
          )}
          <p class="muted">Record it only if the records have really been removed from the zone.</p>
          {change.error && <Failure error={change.error} title="The stage was not recorded" />}
        </Confirm>
      )}
    </>
  );
}
