// What was tried in the workspace: studies, the tree of each, and the curves of a trial as it runs.

import { studies as readStudies } from "../api/experiments_api.js";
import { meanOf } from "../logic/figures.js";
import { countOf, secondsOf } from "../logic/format.js";
import { Empty, Loaded } from "../parts/notice.js";
import { Page } from "../parts/page.js";
import { OneStudy } from "../parts/study.js";
import { Table } from "../parts/table.js";
import { Text, Time } from "../parts/text.js";
import { OneTrial } from "../parts/trial.js";
import { studyHref, studyStateOf, TrialLink, TrialState } from "../parts/trial_words.js";
import { has, useGuild } from "../state/guild.js";
import { useEvery, useLoad } from "../state/load.js";
import { html } from "../vendor/htm-preact.js";

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
