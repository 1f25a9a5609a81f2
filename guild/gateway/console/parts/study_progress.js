// How a study went: each score as it came in, and the best until then.

import { figureOf } from "../logic/figures.js";
import { countOf, many, secondsOf } from "../logic/format.js";
import { html, useMemo } from "../vendor/htm-preact.js";
import { Plot } from "./plot.js";
import { Table } from "./table.js";
import { TrialLink } from "./trial_words.js";

const MOST_ROWS = 50;

export function StudyProgress({ study }) {
  const { points, metric } = study;
  const first = study.left_off.points + 1;
  const data = useMemo(() => [points.map((_, at) => first + at), points.map(({ best }) => best), points.map(({ score }) => score)], [points]);
  if (!points.length) return html`<p class="hint">No trial has ended with a score yet; the chart begins with the first.</p>`;
  const best = points.at(-1).best;
  const at = points.findIndex((point) => point.best === best);
  const latest = [...points.entries()].slice(-MOST_ROWS).reverse();
  const columns = [
    { title: "Score", isNumber: true, cell: ([index]) => countOf(first + index) },
    { title: "Trial", isMain: true, cell: ([, point]) => html`<${TrialLink} id=${point.trial} label=${`#${point.number}`} />` },
    { title: "After", isNumber: true, cell: ([, point]) => secondsOf(point.elapsed_s) },
    { title: metric, isNumber: true, cell: ([, point]) => figureOf(point.score) },
    { title: "Best until then", isNumber: true, cell: ([, point]) => figureOf(point.best) },
  ];
  return html`<figure class="stack">
    <${Plot} data=${data} series=${series} kind=${metric} height=${220} />
    <figcaption class="hint">
      <span class="swatch" aria-hidden="true"></span> the best until then, and <span class="swatch dots" aria-hidden="true"></span> each score as it came in.
      The best of ${many(points.length, "score")} is ${figureOf(best)}${at >= 0 && html`, of trial <${TrialLink} id=${points[at].trial} label=${`#${points[at].number}`} /> after ${secondsOf(points[at].elapsed_s)}`}; the latest is ${figureOf(points.at(-1).score)}.
      ${study.left_off.points > 0 && ` ${countOf(study.left_off.points)} earlier scores are not shown.`}
    </figcaption>
    <details><summary>As a table</summary>
      <${Table} label="Scores" columns=${columns} rows=${latest} keyOf=${([index]) => index} />
      ${points.length > latest.length && html`<p class="hint">The latest ${countOf(latest.length)} of ${countOf(points.length)}.</p>`}
    </details>
  </figure>`;
}

const series = (colour) => [
  { stroke: colour("--accent"), width: 2, points: { show: false }, paths: globalThis.uPlot.paths.stepped({ align: 1 }) },
  { stroke: colour("--warn"), width: 0, paths: () => null, points: { show: true, size: 6, width: 1.5, stroke: colour("--warn"), fill: colour("--surface") } },
];
