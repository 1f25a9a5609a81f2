// Curves as small multiples: a chart for each figure, a sentence below it, and all as a table.

import { chartsOf, nothing, partOf, pointsOf, some, strokeOf, summaryOf, withRecords } from "../logic/curves.js";
import { countOf, figureOf, many } from "../logic/format.js";
import { visible } from "../logic/json.js";
import { Plot } from "./plot.js";
import { Table } from "./table.js";
import { Text } from "./text.js";
import { html, useMemo, useState } from "../vendor/htm-preact.js";

const MOST_CHARTS = 6;
const MOST_SMALL = 2; // beside what else a request tells
const MOST_ROWS = 40;

/**
 * @param runs `{name, told}` each, with `told` of `logic/curves.js`; two at most are told apart.
 * @param label what these are the curves of.
 */
export function Curves({ runs, label, isSmall = false }) {
  const [isLog, setIsLog] = useState(false);
  const [isAll, setIsAll] = useState(false);
  const names = [...new Set(runs.flatMap(({ told }) => [...told.curves.keys()]))];
  const charts = chartsOf(names);
  const shown = isAll ? charts : charts.slice(0, isSmall ? MOST_SMALL : MOST_CHARTS);
  const leftOff = Math.max(...runs.map(({ told }) => told.leftOff.size));
  const mayLog = charts.some((chart) => chart.isLoss && isPositive(runs, chart));
  return html`<div class="stack" role="group" aria-label=${label}>
    ${mayLog && !isSmall && html`<p class="row"><label class="choice"><input type="checkbox" checked=${isLog} onChange=${() => setIsLog(!isLog)} /> Losses on a logarithmic scale</label>
      ${runs.length > 1 && html`<${Runs} runs=${runs} />`}</p>`}
    ${!mayLog && runs.length > 1 && html`<p class="row"><${Runs} runs=${runs} /></p>`}
    <div class="multiples ${isSmall ? "small" : ""}">
      ${shown.map((chart) => html`<${Chart} key=${chart.title} chart=${chart} runs=${runs} isLog=${isLog && chart.isLoss && isPositive(runs, chart)} height=${isSmall ? 120 : 180} />`)}
    </div>
    ${shown.length < charts.length && !isSmall && html`<p><button type="button" onClick=${() => setIsAll(true)}>Show ${many(charts.length - shown.length, "more figure")}</button></p>`}
    ${leftOff > 0 && !isSmall && html`<p class="hint">${countOf(leftOff)} more figures are not shown.</p>`}
    ${!isSmall && html`<details><summary>As a table</summary><${Points} runs=${runs} charts=${shown} label=${label} /></details>`}
  </div>`;
}

/** What a request measures as it goes on: `measured` of `withMeasured`. */
export function MeasuredCurves({ measured }) {
  return [...measured].map(
    ([task, told]) => html`<section class="stack" key=${task} aria-label=${visible(task)}><h3><${Text} value=${task} most=${80} /></h3><${Curves} isSmall runs=${[{ name: task, told }]} label=${`Curves of ${visible(task)}`} /></section>`,
  );
}

const MOST_TASKS = 3;

/** Whether an emitted item is of figures. */
export function isMeasured(item) {
  return item.type.split("@")[0] === "guild.measured";
}

/** `measured`, curves by task, with one more item; the latest tasks alone. */
export function withMeasured(measured, { data: { task, step, values } }) {
  const tasks = new Map(measured);
  const record = Object.fromEntries(Object.entries({ ...values, step }).map(([name, value]) => [name, Number(value)]));
  const told = withRecords(tasks.get(task) ?? nothing(), [record]);
  tasks.delete(task);
  tasks.set(task, told);
  return new Map([...tasks].slice(-MOST_TASKS));
}

function Runs({ runs }) {
  return runs.map(({ name }, index) => html`<span class="legend run-${index}"><span class="swatch" aria-hidden="true"></span><${Text} value=${name} most=${60} /></span>`);
}

function isPositive(runs, { names }) {
  const found = curvesOf(runs, names);
  return found.length > 0 && found.every(({ curve }) => (summaryOf(curve)?.least.y ?? 0) > 0);
}

/** The curves of a chart, those of the first run first. */
function curvesOf(runs, names) {
  return runs.flatMap(({ name: run, told }, number) =>
    names.filter((name) => told.curves.has(name)).map((name) => ({ name, run, number, stroke: strokeOf(name, names), curve: told.curves.get(name) })),
  );
}

function Chart({ chart, runs, isLog, height }) {
  const lines = curvesOf(runs, chart.names);
  const drawn = useMemo(
    () => lines.map(({ curve, number, stroke }) => {
      const [xs, ys] = pointsOf(curve);
      return { xs, ys, look: `run-${number} ${stroke} ${runs.length > 1 ? "" : "only"}` };
    }),
    [...runs.map(({ told }) => told), chart.names.join()],
  );
  const [at, setAt] = useState(null);
  return html`<figure class="multiple">
    <h3><${Text} value=${chart.title} most=${60} />${isLog && html` <span class="soft">(logarithmic)</span>`}${at && html`<span class="at" aria-hidden="true">step ${figureOf(at.x)}: ${at.ys.map(figureOf).join(", ")}</span>`}</h3>
    <${Plot} lines=${drawn} isLog=${isLog} height=${height} onPoint=${setAt} />
    <figcaption>${lines.map((line) => html`<p class="hint run-${line.number}"><span class="swatch ${line.stroke} ${runs.length > 1 ? "" : "only"}" aria-hidden="true"></span><${Sentence} line=${line} isMany=${lines.length > 1} hasRuns=${runs.length > 1} isLoss=${chart.isLoss} /></p>`)}</figcaption>
  </figure>`;
}

function Sentence({ line: { name, run, curve }, isMany, hasRuns, isLoss }) {
  const found = summaryOf(curve);
  const who = isMany ? html`<b>${visible(partOf(name) || (isLoss ? "each step" : name))}${hasRuns && html` of <${Text} value=${run} most=${40} />`}</b>: ` : "";
  if (!found) return html`<span>${who}no figure yet.</span>`;
  const { last, least, most, gaps, isBroken } = found;
  const extreme = isLoss ? `least ${figureOf(least.y)} at ${figureOf(least.x)}` : `from ${figureOf(least.y)} to ${figureOf(most.y)}`;
  return html`<span>${who}${figureOf(last.y)} at step ${figureOf(last.x)}, ${extreme}${gaps > 0 && `; ${many(gaps, "time")} it was no number`}${isBroken && ", as it is now"}.</span>`;
}

/** Some of the points, evenly, in words and figures. */
function Points({ runs, charts, label }) {
  const lines = curvesOf(runs, charts.flatMap(({ names }) => names));
  const byStep = new Map();
  lines.forEach(({ curve }, column) => {
    const [xs, ys] = pointsOf(curve);
    xs.forEach((x, index) => {
      if (!byStep.has(x)) byStep.set(x, []);
      byStep.get(x)[column] = ys[index];
    });
  });
  const rows = some([...byStep].sort(([one], [other]) => one - other), MOST_ROWS);
  const columns = [
    { title: "Step", isNumber: true, cell: ([step]) => figureOf(step) },
    ...lines.map(({ name, run }, column) => ({ title: visible(runs.length > 1 ? `${name} of ${run}` : name), isNumber: true, cell: ([, values]) => figureOf(values[column]) })),
  ];
  return html`<${Table} label=${label} columns=${columns} rows=${rows} keyOf=${([step]) => step} />
    ${byStep.size > rows.length && html`<p class="hint">${countOf(rows.length)} of ${countOf(byStep.size)} steps, evenly.</p>`}`;
}
