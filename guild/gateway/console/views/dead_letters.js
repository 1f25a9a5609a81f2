// Messages that their agents gave up, grouped by what they have in common.

import { letterGroups, letters as readLetters, requeueAll } from "../api/guild_api.js";
import { countOf, many } from "../logic/format.js";
import { href } from "../logic/route.js";
import { Confirm } from "../parts/dialog.js";
import { Letter } from "../parts/letter.js";
import { Empty, Loaded, ProblemNotice } from "../parts/notice.js";
import { Page } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { Code, Text, Time, TypeName } from "../parts/text.js";
import { useGuild } from "../state/guild.js";
import { useEvery, useLoad } from "../state/load.js";
import { html, useState } from "../vendor/htm-preact.js";

const PAGE = 50;
const MOST_GROUPS = 200;
const KINDS = ["type", "error", "agent"];
const LEAD = "Messages that an agent gave up after its last attempt. They are kept until they are requeued or dropped.";

export default function DeadLetters({ rest: [id], query }) {
  if (id) return html`<${Letter} id=${id} key=${id} />`;
  const wanted = Object.fromEntries([...KINDS, "topic"].map((name) => [name, query[name] ?? ""]));
  if (Object.values(wanted).some(Boolean)) {
    return html`<${Bundle} wanted=${wanted} after=${query.after ?? ""} key=${JSON.stringify([wanted, query.after])} />`;
  }
  return html`<${Groups} />`;
}

function Groups() {
  const found = useLoad((options) => letterGroups(KINDS.join(","), options), []);
  useEvery(15, found.reload, []);
  const columns = [
    { title: "Letters", isNumber: true, cell: (group) => countOf(group.letters) },
    { title: "Error", isMain: true, cell: (group) => html`<a href=${href(["dead-letters"], { type: group.type, error: group.error, agent: group.agent })}><${Text} value=${group.error || "unknown"} most=${80} /></a>` },
    { title: "Agent", cell: (group) => html`<${Text} value=${group.agent} most=${60} />` },
    { title: "Type", cell: (group) => html`<${TypeName} value=${group.type} />` },
    { title: "First", cell: (group) => html`<${Time} at=${group.first_at} />` },
    { title: "Last", cell: (group) => html`<${Time} at=${group.last_at} />` },
  ];
  const actions = html`<button type="button" onClick=${found.reload}>Read again</button>`;
  return html`<${Page} title="Dead letters" lead=${LEAD} actions=${actions}>
    <${Loaded} load=${found}>
      ${(groups) =>
        groups.length
          ? html`<${Table} label="Dead letters by kind" columns=${columns} rows=${groups.slice(0, MOST_GROUPS)} keyOf=${(group) => JSON.stringify([group.type, group.error, group.agent])} />`
          : html`<${Empty} title="There are no dead letters."><p>A message comes here when its agent has failed on it for the last time.</p><//>`}
    <//>
  <//>`;
}

function Bundle({ wanted, after }) {
  const { may } = useGuild();
  const [isAsking, setIsAsking] = useState(false);
  const found = useLoad((options) => readLetters({ ...wanted, after, count: PAGE + 1 }, options), []);
  const back = { href: "#/dead-letters", text: "All dead letters" };
  const told = Object.entries(wanted).filter(([, value]) => value);
  const lead = html`<span class="words">${told.map(([name, value]) => html`<span>${name} <${Code} value=${value} most=${100} /></span>`)}</span>`;
  const actions = may("operate") && found.value?.length > 0 && html`<button type="button" onClick=${() => setIsAsking(true)}>Requeue all of these</button>`;
  return html`<${Page} title="Dead letters" lead=${lead} back=${back} actions=${actions}>
    <${Loaded} load=${found}>${(letters) => html`<${LetterPage} letters=${letters} wanted=${wanted} />`}<//>
    ${isAsking && html`<${AskRequeue} wanted=${wanted} onDone=${found.reload} onClose=${() => setIsAsking(false)} />`}
  <//>`;
}

const LETTER_COLUMNS = [
  { title: "Given up", isMain: true, cell: (letter) => html`<a href=${href(["dead-letters", letter.id])}><${Time} at=${letter.at} /></a>` },
  { title: "Agent", cell: (letter) => html`<${Text} value=${letter.agent} most=${60} />` },
  { title: "Type", cell: (letter) => html`<${TypeName} value=${letter.type} />` },
  { title: "Topic", cell: (letter) => html`<${Code} value=${letter.topic} most=${60} />` },
  { title: "Error", isWide: true, cell: (letter) => html`<span class="bad-text"><${Text} value=${letter.error_type} most=${80} /></span>: <${Text} value=${letter.error} most=${240} />` },
];

function LetterPage({ letters, wanted }) {
  const shown = letters.slice(0, PAGE);
  if (!shown.length) return html`<${Empty} title="None of these is left."><p><a href="#/dead-letters">See all dead letters</a>.</p><//>`;
  return html`<${Table} label="Dead letters" columns=${LETTER_COLUMNS} rows=${shown} keyOf=${(letter) => letter.id} />
    ${letters.length > PAGE && html`<p><a href=${href(["dead-letters"], { ...wanted, after: shown.at(-1).id })}>The next ${PAGE}</a></p>`}`;
}

/** Says first how many they are. */
function AskRequeue({ wanted, onDone, onClose }) {
  const counted = useLoad(() => requeueAll(wanted, false), []);
    const act = async () => {
    const done = await requeueAll(wanted, true);
    onDone();
    return `${many(done.count, "message")} went to their agents again.`;
  };
  return html`<${Confirm} title="Requeue all of these?" button="Requeue" act=${act} onClose=${onClose}>
    <${ProblemNotice} problem=${counted.problem} />
    <p>${counted.value ? html`<b>${many(counted.value.count, "message")}</b> ${counted.value.count === 1 ? "goes" : "go"}` : "They go"} to their agents again, as if for the first time, and leave the dead letters. What failed for a reason that is still there will fail again.</p>
  <//>`;
}

