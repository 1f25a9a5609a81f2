// What was tried in the workspace: studies, how each went, its ranking and the tree of what was tried.

import { studies as readStudies, study as readStudy } from "../api/guild_api.js";
import { hasChildren, moved, seenOf } from "../logic/branches.js";
import { countOf, figureOf, gainOf, many, meanOf, secondsOf } from "../logic/format.js";
import { Empty, Loaded, Page } from "../parts/page.js";
import { Plot } from "../parts/plot.js";
import { Table } from "../parts/table.js";
import { Text, Time } from "../parts/text.js";
import { OneTrial, shownOf, studyHref, studyStateOf, trialHref, TrialLink, TrialState } from "../parts/trial.js";
import { useEvery, useLoad } from "../state/load.js";
import { go } from "../state/route.js";
import { has, useGuild } from "../state/store.js";
import { html, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";

export default function Experiments({ rest: [kind, id], query }) {
  const { guild } = useGuild();
  if (!has(guild, "experiments")) return html`<${Unmounted} />`;
  if (kind === "study" && id) return html`<${OneStudy} key=${id} name=${id} form=${query.as} />`;
  if (kind === "trial" && id) return html`<${OneTrial} key=${id} id=${id} other=${query.with ?? ""} />`;
  return html`<${Studies} />`;
}

function Unmounted() {
  return html`<${Page} title="Experiments">
    <${Empty} title="This gateway shows no experiments."><p>They are shown of a spec with a resource of the type <code>research.jobs</code>, by <code>guildbus run SPEC --http 0</code> or <code>guildbus console SPEC</code>.</p><//>
  <//>`;
}

function Studies() {
  const found = useLoad(readStudies, []);
  const isLong = found.value?.studies.some(({ trials }) => trials > 5000); // it takes seconds
  useEvery(isLong ? 15 : 3, found.reload, [isLong]);
  return html`<${Page} title="Experiments" lead="What was tried in the workspace, and how well it did.">
    <${Loaded} load=${found}>
      ${({ studies, left_off: leftOff }) =>
        studies.length
          ? html`<${Table} label="Studies" columns=${COLUMNS} rows=${studies} keyOf=${(study) => study.name} />
              ${leftOff > 0 && html`<p class="hint">${countOf(leftOff)} more are not shown; <code>guildbus experiments</code> lists them.</p>`}`
          : html`<${Empty} title="Nothing was tried yet.">
              <p>The first evaluation of a model begins a study. Ask for one: <a href="#/publish/research.study">publish a <code>StudyRequest</code></a>, or <code>guildbus research --dataset digits</code>.</p>
            <//>`}
    <//>
  <//>`;
}

const COLUMNS = [
  { title: "Study", isMain: true, cell: (study) => html`<a href=${studyHref(study.name)}><${Text} value=${study.name} most=${80} /></a>` },
  { title: "State", cell: (study) => html`<${TrialState} value=${studyStateOf(study)} />` },
  { title: "Data", cell: (study) => (study.dataset ? html`<${Text} value=${study.dataset} most=${60} />` : "–") },
  { title: "Best so far", isNumber: true, cell: ({ best }) => meanOf(best ?? {}) },
  { title: "By", cell: ({ best, metric }) => (best ? html`<span><${TrialLink} id=${best.trial} label=${best.label} /> <span class="soft">in <${Text} value=${metric} most=${40} /></span></span>` : "–") },
  { title: "Trials", isNumber: true, cell: (study) => `${countOf(study.trials)}${study.running ? ` (${countOf(study.running)} running)` : ""}` },
  { title: "Worked", isNumber: true, cell: (study) => secondsOf(study.worked_s || null) },
  { title: "Begun", cell: (study) => html`<${Time} at=${study.created_at} />` },
];

// One study: how it went, the tree of what was tried, and the ranking.

const FORMS = { tree: "Tree", ranking: "Ranking" };
const MOST_RANKED = 100;
const MOST_AT_WORK = 8;

export function OneStudy({ name, form }) {
  const found = useLoad((options) => readStudy(name, options), [name]);
  const isOver = found.value && studyStateOf(found.value) === "ended";
  const isLong = found.value?.left_off.trials > 0; // it takes the gateway seconds
  useEvery(isOver ? 30 : isLong ? 15 : 2, found.reload, [isOver, isLong]);
  const lead = found.value && html`<${Text} value=${[found.value.metric, found.value.dataset && `on ${found.value.dataset}`].filter(Boolean).join(" ")} most=${120} />; ${found.value.higher_is_better ? "more" : "less"} is better.`;
  return html`<${Page} title=${`Study ${name}`} lead=${lead} back=${{ href: "#/experiments", text: "Experiments" }}>
    <${Loaded} load=${found}>${(study) => html`<${Study} study=${study} form=${FORMS[form] ? form : "tree"} />`}<//>
  <//>`;
}

function Study({ study, form }) {
  const { best, left_off: leftOff } = study;
  return html`<dl class="figures">
      <div><dt>State</dt><dd><${TrialState} value=${studyStateOf(study)} /></dd></div>
      <div><dt>Best so far</dt><dd>${meanOf(best ?? {})}</dd></div>
      <div><dt>Trials</dt><dd>${countOf(study.trials)}</dd></div>
      <div><dt>Running</dt><dd>${countOf(study.running)}</dd></div>
      <div><dt>Worked</dt><dd>${secondsOf(study.worked_s || null)}</dd></div>
    </dl>
    <p class="hint">${best ? html`Best is <${TrialLink} id=${best.trial} label=${best.label} />, proposed by <${Text} value=${best.proposer} most=${40} />. ` : "No trial has a score yet. "}Begun <${Time} at=${study.created_at} />${study.ended_at !== null && html`, ended <${Time} at=${study.ended_at} />`}.</p>
    ${study.at_work.length > 0 && html`<p>Running now: ${study.at_work.slice(0, MOST_AT_WORK).map(({ id, label, seed }, index) => html`${index > 0 && ", "}<${TrialLink} id=${id} label=${label} /> <span class="soft">seed ${seed}</span>`)}${study.running > MOST_AT_WORK && ` and ${countOf(study.running - MOST_AT_WORK)} more`}.</p>`}
    ${leftOff.trials > 0 && html`<p class="notice">It is long: the latest and the best of its trials are shown, ${countOf(leftOff.trials)} more are not.</p>`}
    <section class="panel stack" aria-labelledby="progress-title"><h2 id="progress-title">Progress</h2><${StudyProgress} study=${study} /></section>
    <section class="stack" aria-label="What was tried">
      <nav class="tabs" aria-label="Form">
        ${Object.entries(FORMS).map(([name, title]) => html`<a href=${studyHref(study.name, { as: name })} aria-current=${name === form ? "page" : undefined}>${title}</a>`)}
      </nav>
      ${form === "tree" ? html`<${Tree} study=${study} />` : html`<${Ranking} study=${study} />`}
    </section>`;
}

function Tree({ study: { branches, metric, left_off: leftOff } }) {
  if (!branches.length) return html`<${Empty} title="Nothing was tried yet."><p>Trials appear here as they begin; a study fits its baselines first, which are in the ranking.</p><//>`;
  return html`<${TrialTree} branches=${branches} metric=${metric} />
    ${leftOff.branches > 0 && html`<p class="hint">${countOf(leftOff.branches)} more are not shown.</p>`}`;
}

function Ranking({ study: { ranking, metric, left_off: leftOff } }) {
  const [most, setMost] = useState(MOST_RANKED);
  if (!ranking.length) return html`<${Empty} title="Nothing can be ranked yet."><p>The first trial that ends with a score begins the ranking.</p><//>`;
  const rows = ranking.slice(0, most);
  const columns = [
    { title: "Rank", isNumber: true, cell: ({ rank }) => rank ?? "–" },
    { title: "Configuration", isMain: true, cell: (row) => html`<${TrialLink} id=${shownOf(row)} label=${row.label} />` },
    { title: metric, isNumber: true, cell: meanOf },
    { title: "Seeds", isNumber: true, cell: ({ seeds }) => countOf(seeds) },
    { title: "Kind", cell: ({ kind }) => kind },
    { title: "State", cell: ({ state }) => html`<${TrialState} value=${state} />` },
    { title: "Proposed by", cell: ({ proposer }) => html`<${Text} value=${proposer} most=${40} />` },
    { title: "Why", isWide: true, cell: ({ note }) => html`<${Text} value=${note} most=${160} />` },
  ];
  return html`<${Table} label="Ranking" columns=${columns} rows=${rows} keyOf=${({ trial }) => trial} />
    ${rows.length < ranking.length && html`<p><button type="button" onClick=${() => setMost(most + MOST_RANKED)}>Show more of ${countOf(ranking.length - rows.length)}</button></p>`}
    ${leftOff.ranking > 0 && html`<p class="hint">${countOf(leftOff.ranking)} more are not shown.</p>`}`;
}

// How a study went: each score as it came in, and the best until then.

const MOST_SCORES = 50;

export function StudyProgress({ study }) {
  const { points, metric } = study;
  const first = study.left_off.points + 1;
  const lines = useMemo(() => {
    const xs = points.map((_, index) => first + index);
    return [
      { xs, ys: points.map(({ best }) => best), look: "", kind: "stepped" },
      { xs, ys: points.map(({ score }) => score), look: "run-1", kind: "dots" },
    ];
  }, [points]);
  if (!points.length) return html`<p class="hint">No trial has ended with a score yet; the chart begins with the first.</p>`;
  const best = points.at(-1).best;
  const at = points.findIndex((point) => point.best === best);
  const latest = [...points.entries()].slice(-MOST_SCORES).reverse();
  const columns = [
    { title: "Score", isNumber: true, cell: ([index]) => countOf(first + index) },
    { title: "Trial", isMain: true, cell: ([, point]) => html`<${TrialLink} id=${point.trial} label=${`#${point.number}`} />` },
    { title: "After", isNumber: true, cell: ([, point]) => secondsOf(point.elapsed_s) },
    { title: metric, isNumber: true, cell: ([, point]) => figureOf(point.score) },
    { title: "Best until then", isNumber: true, cell: ([, point]) => figureOf(point.best) },
  ];
  return html`<figure class="stack">
    <${Plot} lines=${lines} height=${220} />
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

// The tree of what was tried: each configuration below the one that it changes. One tab stop; the
// arrows walk, open and close.

const MOST_BRANCHES = 200;
const DEEPEST = 10; // what is deeper is drawn no further to the right

export function TrialTree({ branches, metric }) {
  const [closed, setClosed] = useState(new Set());
  const [most, setMost] = useState(MOST_BRANCHES);
  const [current, setCurrent] = useState("");
  const list = useRef(null);
  const isMoved = useRef(false);
  const all = seenOf(branches, closed);
  const rows = all.slice(0, most);
  const index = Math.max(0, rows.findIndex((row) => row.trial === current));
  useLayoutEffect(() => {
    if (!isMoved.current) return;
    isMoved.current = false;
    list.current?.children[index]?.focus();
  });
  const toggle = (trial) => {
    const next = new Set(closed);
    if (!next.delete(trial)) next.add(trial);
    setClosed(next);
  };
  const keys = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const row = rows[index];
    if (event.key === "Enter") {
      event.preventDefault();
      go(trialHref(shownOf(row)));
      return;
    }
    const move = moved(event.key, rows, index);
    if (!move) return;
    event.preventDefault();
    isMoved.current = true;
    if (move.to === undefined) {
      setCurrent(row.trial);
      toggle(row.trial);
    } else setCurrent(rows[move.to].trial);
  };
  const parents = branches.filter((_branch, at) => hasChildren(branches, at));
  return html`<div class="tree-of-trials">
    ${parents.length > 0 && html`<p class="row">
      <button type="button" class="quiet" onClick=${() => setClosed(new Set(parents.map(({ trial }) => trial)))}>Close all</button>
      <button type="button" class="quiet" disabled=${!closed.size} onClick=${() => setClosed(new Set())}>Open all</button>
      <span class="hint">The arrow keys walk the tree; Enter shows a trial.</span>
    </p>`}
    <div class="tried-head" aria-hidden="true"><span class="tried-name">Configuration</span><span>State</span><span class="tried-number"><${Text} value=${metric} most=${40} /></span><span class="tried-number">Gain</span><span>Proposed by</span><span>Why</span></div>
    <ul class="tried" role="tree" aria-label="What was tried" ref=${list} onKeyDown=${keys}>
      ${rows.map((row, at) => html`<${Branch} key=${row.trial} row=${row} metric=${metric} isCurrent=${at === index} onToggle=${() => toggle(row.trial)} onFocus=${() => setCurrent(row.trial)} />`)}
    </ul>
    ${rows.length < all.length && html`<p><button type="button" onClick=${() => setMost(most + MOST_BRANCHES)}>Show ${countOf(Math.min(MOST_BRANCHES, all.length - rows.length))} more of ${countOf(all.length - rows.length)}</button></p>`}
  </div>`;
}

function Branch({ row, metric, isCurrent, onToggle, onFocus }) {
  const expanded = row.isParent ? String(!row.isClosed) : undefined;
  return html`<li role="treeitem" class="tried-row" tabindex=${isCurrent ? 0 : -1} aria-level=${row.depth + 1} aria-expanded=${expanded} aria-selected=${isCurrent} onFocus=${onFocus} style=${{ "--depth": Math.min(row.depth, DEEPEST) }}>
    <span class="tried-name">
      ${row.isParent ? html`<span class="twisty" onClick=${onToggle} aria-hidden="true"></span>` : html`<span class="twisty leaf" aria-hidden="true"></span>`}
      <${TrialLink} id=${shownOf(row)} label=${row.label} tabindex="-1" />
      ${row.seeds > 1 && html`<span class="soft"> ×${row.seeds}<span class="unseen"> seeds</span></span>`}
    </span>
    <${TrialState} value=${row.state} />
    <span class="tried-number"><span class="unseen">${metric} </span>${meanOf(row)}</span>
    <span class="tried-number ${row.gain > 0 ? "gained" : ""}">${row.gain === null ? "" : html`<span class="unseen">, gain </span>${gainOf(row.gain)}`}</span>
    <span class="soft"><span class="unseen">, proposed by </span><${Text} value=${row.proposer} most=${40} /></span>
    <span class="soft tried-note"><${Text} value=${row.note} most=${160} /></span>
  </li>`;
}
