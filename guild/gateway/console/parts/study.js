// One study: how it went, the tree of what was tried, and the ranking.

import { study as readStudy } from "../api/experiments_api.js";
import { meanOf } from "../logic/figures.js";
import { countOf, secondsOf } from "../logic/format.js";
import { useEvery, useLoad } from "../state/load.js";
import { html, useState } from "../vendor/htm-preact.js";
import { Empty, Loaded } from "./notice.js";
import { Page } from "./page.js";
import { StudyProgress } from "./study_progress.js";
import { Table } from "./table.js";
import { Text, Time } from "./text.js";
import { TrialTree } from "./trial_tree.js";
import { shownOf, studyHref, studyStateOf, TrialLink, TrialState } from "./trial_words.js";

const FORMS = { tree: "Tree", ranking: "Ranking" };
const MOST_ROWS = 100;
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
  const [most, setMost] = useState(MOST_ROWS);
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
    ${rows.length < ranking.length && html`<p><button type="button" onClick=${() => setMost(most + MOST_ROWS)}>Show more of ${countOf(ranking.length - rows.length)}</button></p>`}
    ${leftOff.ranking > 0 && html`<p class="hint">${countOf(leftOff.ranking)} more are not shown.</p>`}`;
}
