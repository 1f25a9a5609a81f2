// One conversation: all that followed from one message, the failing step first.

import { conversation as readConversation } from "../api/guild_api.js";
import { failedOf, recentOf, stepsOf, withOpened } from "../logic/conversation.js";
import { many, secondsOf } from "../logic/format.js";
import { Empty, Loaded, Page, State } from "../parts/page.js";
import { Sequence, StepDetail, Timeline, Tree } from "../parts/steps.js";
import { Table } from "../parts/table.js";
import { ConversationLink, Text, Time, TypeName } from "../parts/text.js";
import { useLive } from "../state/live.js";
import { useLoad } from "../state/load.js";
import { go, href } from "../state/route.js";
import { keptLetters, useGuild, useStore } from "../state/store.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

const SETTLES_MS = 500;
const FORMS = { sequence: Sequence, timeline: Timeline, tree: Tree };

export default function Conversations({ rest: [id], query }) {
  const live = useLive();
  return id ? html`<${One} id=${id} query=${query} key=${id} live=${live} />` : html`<${Recent} live=${live} />`;
}

function Recent({ live }) {
  const [typed, setTyped] = useState("");
  const open = (event) => {
    event.preventDefault();
    if (typed.trim()) go(href(["conversations", typed.trim()]));
  };
  const recent = recentOf(live.rows);
  const failed = failedOf(useStore(keptLetters));
  const { guild } = useGuild();
  const [opened] = useState(() => openedLately(guild.id));
  return html`<${Page} title="Conversations" lead="All that followed from one message: who told whom, when, and where it failed.">
    <form class="row find" onSubmit=${open}>
      <label class="field grow"><span class="label">Id of a message or conversation</span>
        <input value=${typed} spellcheck=${false} autocapitalize="off" placeholder="019a8c4e…" onInput=${(event) => setTyped(event.target.value)} />
      </label>
      <button class="primary">Open</button>
    </form>
    <section class="stack"><h2>Just now</h2>
      ${recent.length
        ? html`<${Table} label="Conversations of late" rows=${recent} isStable=${true} keyOf=${(row) => row.conversation || row.id} columns=${RECENT} />`
        : html`<${Empty} title="Nothing was handled since this page was opened."><p>Handlings are listed here as they end; <a href="#/publish">publish a message</a> to begin a conversation, or see <a href="#/messages?show=held">what the topics hold</a>.</p><//>`}
    </section>
    ${failed.length > 0 && html`<section class="stack"><h2>In the dead letters</h2><${Table} label="Conversations with dead letters" rows=${failed} keyOf=${(letter) => letter.id} columns=${FAILED} /></section>`}
    ${opened.length > 0 && html`<section class="stack"><h2>Opened lately in this tab</h2><${Table} label="Conversations opened lately" rows=${opened} keyOf=${({ id }) => id} columns=${OPENED} /></section>`}
  <//>`;
}

const FAILED = [
  { title: "Conversation", isMain: true, cell: (letter) => html`<${ConversationLink} id=${letter.conversation || letter.message_id} />` },
  { title: "Given up", cell: (letter) => html`<${Time} at=${letter.at} />` },
  { title: "Type", cell: (letter) => html`<${TypeName} value=${letter.type} />` },
  { title: "Agent", cell: (letter) => html`<${Text} value=${letter.agent} most=${60} />` },
  { title: "Error", cell: (letter) => html`<a class="bad-text" href=${href(["dead-letters", letter.id])}><${Text} value=${letter.error_type} most=${80} /></a>` },
];

const OPENED = [
  { title: "Conversation", isMain: true, cell: ({ id }) => html`<${ConversationLink} id=${id} />` },
  { title: "Opened", cell: ({ at }) => html`<${Time} at=${at} />` },
  { title: "Begins with", cell: ({ type }) => html`<${TypeName} value=${type} />` },
];

/** Of this guild alone: another one may be at the same address by now. */
const keyOf = (guildId) => `guildbus conversations of ${guildId}`;

function openedLately(guildId) {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(guildId))) ?? [];
  } catch {
    return []; // storage is switched off, or holds what another page wrote
  }
}

function noteOpened(guildId, id, type) {
  try {
    sessionStorage.setItem(keyOf(guildId), JSON.stringify(withOpened(openedLately(guildId), { id, type, at: Date.now() / 1000 })));
  } catch {
    // it is not listed, then
  }
}

const RECENT = [
  { title: "Conversation", isMain: true, cell: (row) => html`<${ConversationLink} id=${row.conversation || row.id} />` },
  { title: "Last handled", cell: (row) => html`<${Time} at=${row.at} />` },
  { title: "Type", cell: (row) => html`<${TypeName} value=${row.type} />` },
  { title: "Agent", cell: (row) => html`<${Text} value=${row.agent} most=${60} />` },
  { title: "Outcome", cell: (row) => html`<${State} value=${row.outcome} />` },
  { title: "Took", isNumber: true, cell: (row) => secondsOf(row.handled_s) },
];

function One({ id, query, live }) {
  const { guild } = useGuild();
  const found = useLoad((options) => readConversation(id, options), [id]);
  const latest = live.rows.find((row) => (row.conversation || row.id) === id);
  const begins = found.value?.steps?.[0]?.type;
  useEffect(() => {
    if (begins !== undefined) noteOpened(guild.id, id, begins);
  }, [begins]);
  useEffect(() => {
    if (!latest) return undefined;
    const timer = setTimeout(found.reload, SETTLES_MS); // more of it comes at once
    return () => clearTimeout(timer);
  }, [latest]);
  const form = FORMS[query.as] ? query.as : "sequence";
  const back = { href: "#/conversations", text: "Conversations" };
  const actions = html`<button type="button" onClick=${found.reload}>Read again</button>`;
  return html`<${Page} title="Conversation" lead=${html`<span class="id"><${Text} value=${id} most=${100} /></span>`} back=${back} actions=${actions}>
    <${Loaded} load=${found}>${(value) => html`<${Steps} id=${id} conversation=${value} form=${form} chosen=${query.step} />`}<//>
  <//>`;
}

function Steps({ id, conversation, form, chosen }) {
  const steps = stepsOf(conversation);
  const failed = steps.find((step) => step.id === conversation.failed_first);
  const shown = steps.find((step) => step.id === chosen) ?? failed ?? steps[0];
  const [isFollowed, setIsFollowed] = useState(false);
  useEffect(() => {
    if (isFollowed) document.getElementById("step-detail")?.scrollIntoView({ block: "nearest" });
  }, [shown?.id]);
  if (!steps.length) {
    return html`<${Empty} title="Nothing is kept of this conversation."><p>Topics drop what was handled; what failed is kept in the <a href="#/dead-letters">dead letters</a>. See that the id is whole.</p><//>`;
  }
  const choose = (step) => {
    setIsFollowed(true);
    go(href(["conversations", id], { as: form, step: step.id }), { isQuiet: true });
  };
  const Form = FORMS[form];
  return html`${failed && html`<${Failure} step=${failed} isShown=${shown === failed} onChoose=${choose} />`}
    ${conversation.is_whole === false && html`<p class="notice">It is long: its first ${many(steps.length, "message")} are shown.</p>`}
    <div class="split">
      <section class="stack" aria-label="Steps">
        <nav class="tabs" aria-label="Form">
          ${Object.keys(FORMS).map(
            (name) => html`<a href=${href(["conversations", id], { as: name, step: chosen })} aria-current=${name === form ? "page" : undefined}>${name[0].toUpperCase() + name.slice(1)}</a>`,
          )}
        </nav>
        <${Form} steps=${steps} chosen=${shown.id} onChoose=${choose} />
      </section>
      <${StepDetail} step=${shown} />
    </div>`;
}

/** The step that failed first, before all else. */
function Failure({ step, isShown, onChoose }) {
  const handling = step.agents.find((each) => each.error) ?? step.agents[0];
  return html`<div class="notice bad">
    <p><b>Step ${step.number} failed first:</b> <${Text} value=${handling?.agent ?? step.topic} /> on <${TypeName} value=${step.type} />${handling?.attempts ? `, after ${many(handling.attempts, "attempt")}` : ""}.</p>
    ${handling?.error && html`<p><code><${Text} value=${handling.error} most=${500} /></code></p>`}
    <p class="row">
      ${!isShown && html`<button type="button" onClick=${() => onChoose(step)}>Show step ${step.number}</button>`}
      ${handling?.letter_id && html`<a href=${href(["dead-letters", handling.letter_id])}>Its dead letter</a>`}
    </p>
  </div>`;
}
