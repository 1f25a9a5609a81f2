// One trial: its curves as they grow, what it was, where it comes from, and beside another one; and
// what is said of trials in the same words everywhere.

import { study as readStudy, trial as readTrial } from "../api/guild_api.js";
import { Curves } from "./curves.js";
import { countOf, figureOf, secondsOf } from "../logic/format.js";
import { visible } from "../logic/json.js";
import { Empty, Loaded, Page, ProblemNotice, toneOf } from "./page.js";
import { useCurves } from "../state/curves.js";
import { useEvery, useLoad } from "../state/load.js";
import { go, href } from "../state/route.js";
import { Table } from "./table.js";
import { Json, Text, Time } from "./text.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

const ENDED = ["done", "diverged", "failed", "interrupted"];
const MOST_OTHERS = 200;

export function OneTrial({ id, other }) {
  const found = useLoad((options) => readTrial(id, options), [id]);
  const { value } = found;
  const isOver = value && ENDED.includes(value.state);
  useEvery(isOver ? 30 : 2, found.reload, [isOver]);
  const back = value ? { href: studyHref(value.study), text: html`Study <${Text} value=${value.study} most=${60} />` } : { href: "#/experiments", text: "Experiments" };
  const lead = value && html`${value.kind} trial, proposed by <${Text} value=${value.proposer} most=${40} />${value.note && html`: <${Text} value=${value.note} most=${300} />`}`;
  return html`<${Page} title=${value ? `Trial ${value.label}` : "Trial"} lead=${lead} back=${back}>
    <${Loaded} load=${found}>${(trial) => html`<${Trial} trial=${trial} other=${other} onOver=${found.reload} />`}<//>
  <//>`;
}

function Trial({ trial, other, onOver }) {
  const metrics = Object.entries(trial.metrics);
  const others = trial.seeds.filter(({ id }) => id !== trial.id);
  return html`<dl class="figures">
      <div><dt>State</dt><dd><${TrialState} value=${trial.state} /></dd></div>
      ${metrics.slice(0, 4).map(([name, value]) => html`<div><dt><${Text} value=${name} most=${40} /></dt><dd>${figureOf(value)}</dd></div>`)}
      <div><dt>Took</dt><dd>${secondsOf(trial.ended_at === null ? null : trial.cost_s)}</dd></div>
    </dl>
    ${trial.error && html`<div class="notice bad"><p><b>It ${trial.state === "interrupted" ? "was cut short" : "failed"}:</b> <code><${Text} value=${trial.error} most=${2000} /></code></p></div>`}
    <${TrialCurves} trial=${trial} other=${other} onOver=${onOver} />
    <div class="split">
      <section class="panel stack" aria-labelledby="what-title"><h2 id="what-title">What it was</h2>
        <${Json} value=${trial.config} label="Configuration" />
        ${trial.code && html`<details><summary>Its code</summary><pre class="json" tabindex="0" role="region" aria-label="Code"><${Text} value=${trial.code} /></pre></details>`}
      </section>
      <section class="panel stack" aria-labelledby="from-title"><h2 id="from-title">Where it comes from</h2>
        <${Lineage} trial=${trial} />
        <dl class="facts">
          <dt>Id</dt><dd class="id">${trial.id}</dd>
          <dt>Seed</dt><dd>${trial.seed}${others.length > 0 && html`<span class="soft">; others: ${others.map(({ id, seed, state }, index) => html`${index > 0 && ", "}<${TrialLink} id=${id} label=${`${seed}`} aria-label=${`seed ${seed}`} />${state !== "done" && ` ${state}`}`)}${trial.left_off.seeds > 0 && ` and ${countOf(trial.left_off.seeds)} more`}</span>`}</dd>
          <dt>Begun</dt><dd>${trial.started_at === null ? "not yet" : html`<${Time} at=${trial.started_at} />`}</dd>
          <dt>Ended</dt><dd>${trial.ended_at === null ? "not yet" : html`<${Time} at=${trial.ended_at} />`}</dd>
          ${trial.tokens > 0 && html`<dt>Tokens</dt><dd>${countOf(trial.tokens)}</dd>`}
        </dl>
        ${metrics.length > 0 && html`<${Table} label="Metrics" columns=${METRICS} rows=${metrics} keyOf=${([name]) => name} />`}
      </section>
    </div>`;
}

const METRICS = [
  { title: "Metric", isMain: true, cell: ([name]) => html`<${Text} value=${name} most=${60} />` },
  { title: "Value", isNumber: true, cell: ([, value]) => figureOf(value) },
];

function Lineage({ trial }) {
  const above = trial.lineage.slice(0, -1);
  return html`<div class="stack">
    ${above.length > 0
      ? html`<p>It changes <${TrialLink} ...${above.at(-1)} />${above.length > 1 && html`, which goes back to ${above.slice(0, -1).reverse().map((each, index) => html`${index > 0 && ", "}<${TrialLink} ...${each} />`)}`}.</p>`
      : html`<p>It changes no other trial: a tree begins here.</p>`}
    ${trial.left_off.lineage > 0 && html`<p class="hint">${countOf(trial.left_off.lineage)} further back are not shown.</p>`}
    ${trial.children.length > 0 && html`<p>Changed from it: ${trial.children.map((each, index) => html`${index > 0 && ", "}<${TrialLink} ...${each} />`)}${trial.left_off.children > 0 && ` and ${countOf(trial.left_off.children)} more, which are not shown`}.</p>`}
  </div>`;
}

function TrialCurves({ trial, other, onOver }) {
  const mine = useCurves(trial.id, trial.started_at);
  const others = useCurves(other);
  useEffect(() => {
    if (mine.isOver && trial.state === "running") onOver();
  }, [mine.isOver]);
  const beside = useLoad((options) => (other ? readTrial(other, options) : Promise.resolve(null)), [other]);
  const runs = [{ name: trial.label, told: mine.told }];
  if (other) runs.push({ name: beside.value?.label ?? other, told: others.told });
  const hasAny = runs.some(({ told }) => told.curves.size > 0);
  return html`<section class="panel stack" aria-labelledby="curves-title" aria-busy=${mine.isLoading}>
    <div class="row spread"><h2 id="curves-title">Curves</h2><${Compare} trial=${trial} other=${other} /></div>
    <${ProblemNotice} problem=${mine.problem ?? others.problem} />
    ${hasAny
      ? html`<${Curves} runs=${runs} label=${`Curves of trial ${trial.label}`} />`
      : mine.isLoading
        ? html`<p class="loading" aria-busy="true">Reading …</p>`
        : html`<${Empty} title="There are no curves of this trial."><p>${whyNone(trial)}</p><//>`}
    ${hasAny && !mine.isOver && trial.state === "running" && html`<p class="hint">It is drawn as it runs, once a second.</p>`}
  </section>`;
}

function whyNone({ state, kind }) {
  if (state === "running") return "It runs and has told no figures yet; they are drawn here as they come.";
  if (state === "planned") return "It was not begun yet.";
  if (["baseline", "ensemble", "test"].includes(kind)) return `A trial of the kind ${kind} is no training: its figures are below.`;
  return "Nothing was kept of its training.";
}

/** A choice of another trial of the study, whose curves are drawn beside. */
function Compare({ trial, other }) {
  const [isAsked, setIsAsked] = useState(Boolean(other));
  const study = useLoad((options) => (isAsked ? readStudy(trial.study, options) : Promise.resolve(null)), [trial.study, isAsked]);
  if (!isAsked) return html`<button type="button" onClick=${() => setIsAsked(true)}>Compare with …</button>`;
  const rows = (study.value?.ranking ?? []).filter((row) => row.trial !== trial.id && ["quick", "full"].includes(row.kind)).slice(0, MOST_OTHERS);
  const choose = (event) => go(trialHref(trial.id, { with: event.target.value }), { isQuiet: true });
  return html`<label class="row"><span>Compare with</span>
    <select class="other" value=${other} onChange=${choose}>
      <option value="">no other</option>
      ${other && !rows.some((row) => row.trial === other) && html`<option value=${other}>${other}</option>`}
      ${rows.map((row) => html`<option value=${row.trial}>${row.label}</option>`)}
    </select></label>`;
}

// What is said of a trial and a study in the same words everywhere.

const TONES = { running: "runs", diverged: "bad", interrupted: "warn" };

export function TrialState({ value }) {
  return html`<span class="state ${TONES[value] ?? toneOf(value)}"><span class="dot" aria-hidden="true"></span>${visible(value)}</span>`;
}

/** Whether a study runs, has ended, or rests: none of its trials runs, and more may come. */
export function studyStateOf({ running, ended_at: endedAt }) {
  if (running > 0) return "running";
  return endedAt === null ? "at rest" : "ended";
}

export const trialHref = (id, query) => href(["experiments", "trial", id], query);
export const studyHref = (name, query) => href(["experiments", "study", name], query);

/** The trial that a configuration is shown by: the seed that runs, else the first. */
export function shownOf({ trial, latest, state }) {
  return state === "running" ? latest : trial;
}

export function TrialLink({ id, label, ...attributes }) {
  return html`<a href=${trialHref(id)} ...${attributes}><${Text} value=${label || id} most=${80} /></a>`;
}
