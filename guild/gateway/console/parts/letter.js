// One dead letter: why it died, what it holds; edited, requeued, dropped.

import { drop, letter as readLetter, requeue, schemaOf } from "../api/guild_api.js";
import { isSame, parse, render } from "../logic/json.js";
import { href } from "../logic/route.js";
import { isObject } from "../logic/schema.js";
import { go } from "../state/route.js";
import { useGuild } from "../state/guild.js";
import { useLoad } from "../state/load.js";
import { isValid, useValidity } from "../state/validity.js";
import { html, useRef, useState } from "../vendor/htm-preact.js";
import { Confirm } from "./dialog.js";
import { Loaded } from "./notice.js";
import { Page } from "./page.js";
import { Field } from "./schema_form.js";
import { Table } from "./table.js";
import { Code, ConversationLink, Json, Text, Time, TypeName } from "./text.js";

const BACK = { href: "#/dead-letters", text: "All dead letters" };

export function Letter({ id }) {
  const found = useLoad((options) => readLetter(id, options), [id]);
  return html`<${Page} title="Dead letter" lead=${html`<span class="id"><${Text} value=${id} /></span>`} back=${BACK}>
    <${Loaded} load=${found}>${(letter) => html`<${Detail} letter=${letter} key=${letter.id} />`}<//>
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
      : html`<${JsonText} value=${value} onChange=${onChange} />`}
  </div>`;
}

function JsonText({ value, onChange }) {
  const [text, setText] = useState(() => render(value, 2));
  const [problem, setProblem] = useState("");
  const change = (event) => {
    setText(event.target.value);
    try {
      const next = parse(event.target.value);
      setProblem(isObject(next) ? "" : "A message is an object: { … }.");
      if (isObject(next)) onChange(next);
    } catch (error) {
      setProblem(`This is not JSON: ${error.message}`);
    }
  };
  return html`<label class="field"><span class="label">Message as JSON</span>
    <textarea ref=${useValidity(problem)} class="code" rows="12" spellcheck=${false} value=${text} aria-invalid=${problem ? "true" : undefined} onInput=${change}></textarea>
    ${problem && html`<span class="field-problem" role="alert">${problem}</span>`}
  </label>`;
}

function Attempts({ reason }) {
  const attempts = reason.attempts ?? [];
  const columns = [
    { title: "Attempt", isNumber: true, cell: (attempt) => attempt.number || "–" },
    { title: "At", cell: (attempt) => (attempt.at ? html`<${Time} at=${attempt.at} />` : "–") },
    { title: "Error", isMain: true, cell: (attempt) => html`<${Text} value=${attempt.error_type} most=${100} />` },
    { title: "Text", isWide: true, cell: (attempt) => html`<${Text} value=${attempt.text} most=${500} />` },
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
    go("#/dead-letters");
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
    go("#/dead-letters");
    return "The dead letter was dropped.";
  };
  return html`<${Confirm} title="Drop this message for good?" button="Drop for good" isDangerous=${true} act=${act} asks=${{ reason: "Why (kept in the guild's events)", needsReason: true }} onClose=${onClose}>
    <p>The message and its history are deleted. This cannot be undone: <b><${Text} value=${letter.agent} /></b> will never handle it. The guild's events keep that you dropped it, and why, without its contents.</p>
  <//>`;
}
