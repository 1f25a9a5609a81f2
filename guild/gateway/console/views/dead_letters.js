// Messages that their agents gave up, grouped by what they have in common; one is read, edited,
// requeued, dropped.

import { drop, dropAll, letter as readLetter, letterGroups, letters as readLetters, requeue, requeueAll, schemaOf } from "../api/guild_api.js";
import { countOf, many } from "../logic/format.js";
import { isSame } from "../logic/json.js";
import { isObject } from "../logic/schema.js";
import { Confirm, Empty, Loaded, Page, ProblemNotice } from "../parts/page.js";
import { Field, isValid, JsonControl } from "../parts/schema_form.js";
import { Table } from "../parts/table.js";
import { Code, ConversationLink, Json, Text, Time, TypeName } from "../parts/text.js";
import { useEvery, useLoad } from "../state/load.js";
import { go, href } from "../state/route.js";
import { useGuild } from "../state/store.js";
import { html, useRef, useState } from "../vendor/htm-preact.js";

const PAGE = 50;
const WHY = { reason: "Why (kept in the guild's events)", needsReason: true };
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
    { title: "Error", isMain: true, cell: (group) => html`<a href=${href(["dead-letters"], { type: group.type, error: group.error, agent: group.agent })}><${Text} value=${group.error || "unknown"} most=${80} /></a>` },
    { title: "Agent", cell: (group) => html`<${Text} value=${group.agent} most=${60} />` },
    { title: "Type", cell: (group) => html`<${TypeName} value=${group.type} />` },
    { title: "Letters", isNumber: true, cell: (group) => countOf(group.letters) },
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
  const [asked, setAsked] = useState("");
  const found = useLoad((options) => readLetters({ ...wanted, after, count: PAGE + 1 }, options), []);
  const back = { href: "#/dead-letters", text: "All dead letters" };
  const told = Object.entries(wanted).filter(([, value]) => value);
  const lead = html`<span class="words">${told.map(([name, value]) => html`<span>${name} <${Code} value=${value} most=${100} /></span>`)}</span>`;
  const actions =
    may("operate") &&
    found.value?.length > 0 &&
    html`<button type="button" onClick=${() => setAsked("requeue")}>Requeue all of these</button>
      <button type="button" onClick=${() => setAsked("drop")}>Drop all of these</button>`;
  const asking = { wanted, onDone: found.reload, onClose: () => setAsked("") };
  return html`<${Page} title="Dead letters" lead=${lead} back=${back} actions=${actions}>
    <${Loaded} load=${found}>${(letters) => html`<${LetterPage} letters=${letters} wanted=${wanted} />`}<//>
    ${asked === "requeue" && html`<${AskRequeueAll} ...${asking} />`}
    ${asked === "drop" && html`<${AskDropAll} ...${asking} />`}
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
    ${letters.length > PAGE && html`<p><a href=${href(["dead-letters"], { ...wanted, after: shown.at(-1).id })}>Those after them</a></p>`}`;
}

/** Says first how many they are. */
function AskRequeueAll({ wanted, onDone, onClose }) {
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

function AskDropAll({ wanted, onDone, onClose }) {
  const counted = useLoad(() => dropAll(wanted, "counted", false), []);
  const act = async ({ reason }) => {
    const done = await dropAll(wanted, reason, true);
    onDone();
    return `${many(done.count, "dead letter")} dropped.`;
  };
  return html`<${Confirm} title="Drop all of these for good?" button="Drop for good" isDangerous=${true} act=${act} asks=${WHY} onClose=${onClose}>
    <${ProblemNotice} problem=${counted.problem} />
    <p>${counted.value ? html`<b>${many(counted.value.count, "message")}</b>` : "The messages"} and their history are deleted. This cannot be undone: no agent will ever handle them. The guild's events keep that you dropped each, and why, without contents.</p>
  <//>`;
}

// One dead letter: why it died, what it holds; edited, requeued, dropped.

const GONE = { title: "This dead letter is not there any more.", text: html`It was requeued or dropped, or there was none of this id. <a href="#/dead-letters">See all dead letters</a>.` };
const ALL_LETTERS = { href: "#/dead-letters", text: "All dead letters" };

/** Where the others of its kind are: the page of a letter that is gone shows nothing any more. */
const goToOthers = ({ type, error_type: error, agent }) => go(href(["dead-letters"], { type, error, agent }), { isQuiet: true });

export function Letter({ id }) {
  const found = useLoad((options) => readLetter(id, options), [id]);
  return html`<${Page} title="Dead letter" lead=${html`<span class="id"><${Text} value=${id} /></span>`} back=${ALL_LETTERS}>
    <${Loaded} load=${found} missing=${GONE}>${(letter) => html`<${Detail} letter=${letter} key=${letter.id} />`}<//>
  <//>`;
}

function Detail({ letter }) {
  const { may } = useGuild();
  const [edited, setEdited] = useState(null); // null: as it was
  const [asked, setAsked] = useState("");
  const editor = useRef(null);
  const isEdited = edited !== null && !isSame(edited, letter.payload);
  return html`<div class="notice bad">
      <p><b><${Text} value=${letter.agent} /></b> gave up on <${TypeName} value=${letter.type} />: <${Text} value=${letter.error_type} /></p>
      <p><code><${Text} value=${letter.error} most=${2000} /></code></p>
    </div>
    ${may("operate") &&
    html`<div class="row">
      <button class="primary" type="button" onClick=${() => isValid(editor.current) && setAsked("requeue")}>${isEdited ? "Requeue as edited" : "Requeue"}</button>
      ${edited === null
        ? html`<button type="button" disabled=${!isObject(letter.payload)} onClick=${() => setEdited(letter.payload)}>Edit the message</button>`
        : html`<button type="button" onClick=${() => setEdited(null)}>Throw the edit away</button>`}
      <button type="button" onClick=${() => setAsked("drop")}>Drop</button>
    </div>`}
    <div class="split">
      <section ref=${editor} class="panel stack" aria-labelledby="the-message">
        <h2 id="the-message">${edited === null ? "The message" : "Edit the message"}</h2>
        ${edited === null ? html`<${Json} value=${letter.payload} label="The message as JSON" />` : html`<${Editor} letter=${letter} value=${edited} onChange=${setEdited} />`}
      </section>
      <${Facts} letter=${letter} />
    </div>
    <${Attempts} reason=${letter.reason} />
    ${asked === "requeue" && html`<${AskRequeue} letter=${letter} edited=${isEdited ? edited : null} onClose=${() => setAsked("")} />`}
    ${asked === "drop" && html`<${AskDrop} letter=${letter} onClose=${() => setAsked("")} />`}`;
}

function Facts({ letter }) {
  return html`<section class="panel stack" aria-label="Where it came from">
    <h2>Where it came from</h2>
    <dl class="facts">
      <dt>Given up</dt><dd><${Time} at=${letter.at} /></dd>
      <dt>Agent</dt><dd><a href=${href(["agents", letter.agent])}><${Text} value=${letter.agent} /></a></dd>
      <dt>Topic</dt><dd><${Code} value=${letter.topic} /></dd>
      <dt>Sender</dt><dd><${Text} value=${letter.sender || "outside"} /></dd>
      <dt>Message</dt><dd class="id"><${Text} value=${letter.message_id} /></dd>
      <dt>Conversation</dt><dd><${ConversationLink} id=${letter.conversation} /></dd>
    </dl>
  </section>`;
}

/** By its form, or as JSON where the type is not known here. */
function Editor({ letter, value, onChange }) {
  const type = useLoad((options) => schemaOf(letter.type, options), [letter.type]);
  const [isJson, setIsJson] = useState(false);
  const schema = type.value?.json_schema;
  return html`<div class="stack">
    ${schema && html`<div class="tabs"><button type="button" aria-pressed=${!isJson} onClick=${() => setIsJson(false)}>Form</button><button type="button" aria-pressed=${isJson} onClick=${() => setIsJson(true)}>JSON</button></div>`}
    ${schema && !isJson
      ? html`<${Field} field=${{ schema, isRequired: true }} root=${schema} value=${value} path="" problems=${{}} onChange=${onChange} />`
      : html`<${JsonControl} label="Message as JSON" shape=${{ schema: {} }} value=${value} path="" problems=${{}} isMessage rows="12" onChange=${onChange} />`}
  </div>`;
}

function Attempts({ reason }) {
  const attempts = reason.attempts ?? [];
  const columns = [
    { title: "Attempt", cell: (attempt) => attempt.number || "requeued" },
    { title: "At", cell: (attempt) => (attempt.at ? html`<${Time} at=${attempt.at} />` : "–") },
    { title: "Error", isMain: true, cell: (attempt) => (attempt.number ? html`<${Text} value=${attempt.error_type} most=${100} />` : "") },
    { title: "What was said", isWide: true, cell: (attempt) => html`<${Text} value=${attempt.text} most=${500} />` },
  ];
  return html`${attempts.length > 0 &&
  html`<section class="stack"><h2>Attempts</h2><${Table} label="Attempts" columns=${columns} rows=${attempts.slice(-100)} keyOf=${(attempt) => `${attempt.number} ${attempt.at}`} /></section>`}
  ${reason.traceback && html`<section class="stack"><h2>Traceback</h2><pre class="json" tabindex="0" role="region" aria-label="Traceback"><${Text} value=${reason.traceback} /></pre></section>`}`;
}

function AskRequeue({ letter, edited, onClose }) {
  const changed = edited && Object.keys({ ...letter.payload, ...edited }).filter((name) => !isSame(edited[name], letter.payload[name]));
  const isRemoved = changed?.some((name) => edited[name] === undefined);
  const act = async () => {
    await requeue(letter.id, changeOf(edited, changed, isRemoved));
    goToOthers(letter);
    return `The message went to ${letter.agent} again.`;
  };
  return html`<${Confirm} title="Requeue this message?" button="Requeue" act=${act} onClose=${onClose}>
    <p>It goes to <b><${Text} value=${letter.agent} /></b> again, as if for the first time, and leaves the dead letters. No other agent gets it. Should it fail again, it comes back with its history.</p>
    ${changed?.length > 0 && html`<p>Edited: <span class="words">${changed.map((name) => html`<${Code} value=${name} />`)}</span></p>`}
  <//>`;
}

/** The fields that changed; all of the message where one was taken out. */
function changeOf(edited, changed, isRemoved) {
  if (!changed?.length) return {};
  return isRemoved ? { payload: edited } : { edit: Object.fromEntries(changed.map((name) => [name, edited[name]])) };
}

function AskDrop({ letter, onClose }) {
  const act = async ({ reason }) => {
    await drop(letter.id, reason);
    goToOthers(letter);
    return "The dead letter was dropped.";
  };
  return html`<${Confirm} title="Drop this message for good?" button="Drop for good" isDangerous=${true} act=${act} asks=${WHY} onClose=${onClose}>
    <p>The message and its history are deleted. This cannot be undone: <b><${Text} value=${letter.agent} /></b> will never handle it. The guild's events keep that you dropped it, and why, without its contents.</p>
  <//>`;
}
