// Publish a message, or ask with it, by a form of its schema; shown as CLI and curl, too.

import { cancel, publish, schemas as readSchemas } from "../api/guild_api.js";
import { isSame } from "../logic/json.js";
import { emptyOf, isShown, partsOf } from "../logic/schema.js";
import { Commands } from "../parts/commands.js";
import { isMeasured, MeasuredCurves, withMeasured } from "../parts/curves.js";
import { Empty, Loaded, Page, ProblemNotice } from "../parts/page.js";
import { Field, JsonControl } from "../parts/schema_form.js";
import { ConversationLink, Json, Text, TypeName } from "../parts/text.js";
import { useAct } from "../state/act.js";
import { ask } from "../state/asking.js";
import { useEvery, useLoad } from "../state/load.js";
import { go, href } from "../state/route.js";
import { useGuild } from "../state/store.js";
import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";

const MOST_EMITTED = 200;
const CANCELLED = "RequestCancelledError";
const INTERNAL = /^(guild|bus)\./; // what guilds tell each other, rarely what a person means to send

export default function Publish({ rest: [chosen] }) {
  const { may } = useGuild();
  const found = useLoad(readSchemas, [], { isOfSpec: true });
  useEvery(60, found.reload, []); // other fields in the same wiring are no other spec
  return html`<${Page} title="Publish" lead="Send a message to the guild, or ask and wait for the answer.">
    ${!may("publish") && html`<p class="notice">Your token may not publish; it needs the scope <code>publish</code>. You can still compose the message and copy the command.</p>`}
    <${Loaded} load=${found}>${(types) => html`<${Chosen} types=${types} chosen=${chosen} />`}<//>
  <//>`;
}

function Chosen({ types, chosen }) {
  const [isAll, setIsAll] = useState(false);
  const hasInternal = types.some((type) => INTERNAL.test(type.type));
  const offered = types.filter((type) => isAll || type.type === chosen || !INTERNAL.test(type.type));
  const handled = offered.filter((type) => type.handled_by.length);
  const others = offered.filter((type) => !type.handled_by.length);
  const type = types.find((each) => each.type === chosen) ?? (chosen ? undefined : handled[0]);
  if (!types.length) return html`<${Empty} title="This guild handles no messages."><p>Its agents have no handlers.</p><//>`;
  const option = (each) => html`<option value=${each.type} selected=${each === type}>${each.type}</option>`;
  return html`<div class="stack half"><label class="field"><span class="label">Type of message</span>
      <select value=${type?.type} onChange=${(event) => go(href(["publish", event.target.value]))}>
        ${!type && html`<option selected>choose …</option>`}
        ${handled.length > 0 && html`<optgroup label="Handled by an agent">${handled.map(option)}</optgroup>`}
        ${others.length > 0 && html`<optgroup label="Known, handled by no agent">${others.map(option)}</optgroup>`}
      </select>
    </label>
    ${hasInternal && html`<label class="choice hint"><input type="checkbox" checked=${isAll} onChange=${() => setIsAll(!isAll)} /> Internal types, too</label>`}</div>
    ${type
      ? html`<${Composer} key=${type.type} type=${type} />`
      : html`<${Empty} title=${chosen ? "No such type." : "No type is chosen."}><p>${chosen && html`This guild knows no message <${Text} value=${chosen} most=${100} />. `}Choose one above.</p><//>`}`;
}

function Composer({ type }) {
  const { may } = useGuild();
  const schema = type.json_schema;
  const start = useMemo(() => emptyOf({ ...schema, default: undefined }, schema) ?? {}, [type]);
  const plainTopics = type.topics.filter((topic) => !/[*>]/.test(topic));
  const [data, setData] = useState(start);
  const [isJson, setIsJson] = useState(false);
  const [topic, setTopic] = useState(plainTopics[0] ?? "");
  const [options, setOptions] = useState({ timeoutS: "60", delayS: "", priority: "", tags: "", conversation: "" });
  const [form, setForm] = useState(0); // a new number makes the form anew
  const asking = useAsking();
  const sending = useAct(async () => {
    const receipt = await publish(topic, bodyOf("publish", type, data, options));
    asking.accepted(receipt);
    return receipt.warning ? `Accepted; ${receipt.warning}` : "The message was accepted.";
  });
  const mayAsk = type.answers.length > 0;
  const [act, setAct] = useState(mayAsk ? "request" : "publish");
  const refusal = sending.problem ?? (asking.receipt ? null : asking.problem); // else it is what came of it
  const problems = problemsByField(refusal);
  const areShown = Object.keys(problems).length > 0 && Object.keys(problems).every((path) => isShown(path, schema)); // beside their fields
  const submit = (event) => {
    event.preventDefault();
    sending.forget();
    asking.forget();
    const wanted = event.submitter?.value === "request" ? "request" : "publish";
    setAct(wanted);
    if (wanted === "request") asking.begin(topic, { ...bodyOf("request", type, data, options), whole_conversation: true });
    else sending.run();
  };
  const set = (name) => (event) => setOptions({ ...options, [name]: event.target.value });
  const reset = () => {
    setData(start);
    setForm(form + 1);
  };
  return html`<div class="split">
    <form class="panel stack" onSubmit=${submit} aria-label=${`Message ${type.type}`}>
      <div class="row spread">
        <h2>${type.title}</h2>
        <div class="tabs">
          <button type="button" aria-pressed=${!isJson} onClick=${() => setIsJson(false)}>Form</button>
          <button type="button" aria-pressed=${isJson} onClick=${() => setIsJson(true)}>JSON</button>
        </div>
      </div>
      ${type.description && html`<p class="soft description"><${Text} value=${partsOf(type.description).text} most=${600} /></p>`}
      ${isJson
        ? html`<${JsonControl} key=${`json${form}`} label="Message as JSON" isMessage shape=${{ schema: {} }} value=${data} path="" problems=${problems} onChange=${setData} />`
        : html`<${Field} key=${`form${form}`} field=${{ schema, isRequired: true }} root=${schema} value=${data} path="" problems=${problems} onChange=${setData} />`}
      <hr />
      <div class="filters">
        <label class="field"><span class="label">Topic</span><input list="topics" required spellcheck=${false} value=${topic} onInput=${(event) => setTopic(event.target.value)} /></label>
        <datalist id="topics">${plainTopics.map((each) => html`<option value=${each}></option>`)}</datalist>
        <${Option} title="Wait for the answer, s" type="number" value=${options.timeoutS} onInput=${set("timeoutS")} />
        <${Option} title="Delay, s" type="number" value=${options.delayS} onInput=${set("delayS")} />
        <${Option} title="Priority" type="number" value=${options.priority} onInput=${set("priority")} />
        <${Option} title="Only for agents" hint="ids, with commas" value=${options.tags} onInput=${set("tags")} />
        <${Option} title="In conversation" hint="id" value=${options.conversation} onInput=${set("conversation")} />
      </div>
      <div class="row">
        ${mayAsk && html`<button class="primary" value="request" disabled=${!may("publish") || asking.isBusy}>Ask</button>`}
        <button class=${mayAsk ? "" : "primary"} value="publish" disabled=${!may("publish") || sending.isBusy}>Publish</button>
        ${!isSame(data, start) && html`<button type="button" class="quiet" onClick=${reset}>Begin anew</button>`}
      </div>
      <${ProblemNotice} problem=${refusal} hasFields=${!areShown} />
    </form>
    <div class="stack">
      <${Outcome} asking=${asking} />
      <${Commands} act=${act} acts=${mayAsk ? ["request", "publish"] : ["publish"]} onAct=${setAct} type=${type.type.split("@")[0]} topic=${topic}
        body=${bodyOf(act, type, data, options)} options=${{ topic, timeout_s: options.timeoutS, delay_s: options.delayS, conversation: options.conversation }} />
    </div>
  </div>`;
}

function Option({ title, hint, ...input }) {
  return html`<label class="field"><span class="label">${title}</span><input min="0" step="any" placeholder=${hint} spellcheck=${false} ...${input} /></label>`;
}

function bodyOf(act, type, data, options) {
  const tags = options.tags.split(",").map((tag) => tag.trim()).filter(Boolean);
  const number = (text) => (text === "" ? undefined : Number(text));
  return {
    type: type.type.split("@")[0],
    data,
    ...(act === "publish" ? { delay_s: number(options.delayS), priority: number(options.priority) } : { timeout_s: number(options.timeoutS) }),
    tags: tags.length ? tags : undefined,
    conversation: options.conversation.trim() || undefined,
  };
}

function problemsByField(problem) {
  const fields = Array.isArray(problem?.fields) ? problem.fields : [];
  return Object.fromEntries(fields.map(({ field, problem: text }) => [field, text]));
}

/** A request from this form, at most one at a time. */
function useAsking() {
  const NOTHING = { isBusy: false, receipt: null, emitted: [], measured: new Map(), text: "", answer: null, problem: null };
  const [state, setState] = useState(NOTHING);
  const stream = useRef(null);
  useEffect(() => () => stream.current?.close(), []);
  const patch = (change) => setState((before) => ({ ...before, ...change }));
  const begin = (topic, body) => {
    stream.current?.close();
    setState({ ...NOTHING, isBusy: true });
    stream.current = ask(topic, body, {
      onAccepted: (receipt) => patch({ receipt }),
      onEmitted: (item) => setState((before) => withEmitted(before, item)),
      onAnswer: (answer) => patch({ answer, isBusy: false }),
      onProblem: (problem) => patch({ problem, isBusy: false }),
    });
  };
  return { ...state, begin, accepted: (receipt) => setState({ ...NOTHING, receipt }), forget: () => setState(NOTHING) };
}

function withEmitted(before, item) {
  const isText = item.type.split("@")[0] === "guild.text";
  if (isText) return { ...before, text: before.text + item.data.text };
  if (isMeasured(item)) return { ...before, measured: withMeasured(before.measured, item) };
  return { ...before, emitted: [...before.emitted, item].slice(-MOST_EMITTED) };
}

function Outcome({ asking }) {
  const { receipt, emitted, measured, text, answer, problem, isBusy } = asking;
  const cancelling = useAct(async () => {
    await cancel(receipt.message_id, "cancelled in the console");
  });
  return html`<section class="panel stack" aria-label="What came of it" aria-live="polite" aria-busy=${isBusy}>
    <div class="row spread"><h2>${isBusy ? "Waiting for the answer …" : answer ? "The answer" : "What comes of it"}</h2>
      ${isBusy && html`<button type="button" disabled=${!receipt || cancelling.isBusy} onClick=${cancelling.run}>Cancel<span class="unseen"> the request</span></button>`}</div>
    ${isBusy && html`<${ProblemNotice} problem=${cancelling.problem} />`}
    ${!receipt && !problem && !isBusy && html`<p class="hint">The receipt, what is emitted and the answer are shown here.</p>`}
    ${receipt && html`<p>Accepted as <${ConversationLink} id=${receipt.conversation || receipt.message_id} text=${receipt.message_id} />.</p>`}
    ${receipt?.warning && html`<p class="notice"><${Text} value=${receipt.warning} /></p>`}
    ${text && html`<p class="said"><${Text} value=${text} /></p>`}
    ${latestOf(emitted).map((item) => html`<${Emitted} item=${item} />`)}
    <${MeasuredCurves} measured=${measured} />
    ${answer && html`<p><${TypeName} value=${answer.type} /></p><${Json} value=${answer.data} label="Answer" />`}
    ${receipt && (problem?.error === CANCELLED ? html`<p>The request was cancelled.</p>` : html`<${ProblemNotice} problem=${problem} />`)}
    ${problem?.told?.dead_letter_id && html`<p><a href=${href(["dead-letters", problem.told.dead_letter_id])}>Its dead letter</a></p>`}
  </section>`;
}

/** Of the progress of one task, the latest alone. */
function latestOf(emitted) {
  const tasks = new Map(emitted.map((item, index) => [item.data?.task ?? index, item]));
  return [...tasks.values()].slice(-20);
}

function Emitted({ item }) {
  const { task, done, total, text } = item.data ?? {};
  if (item.type.split("@")[0] !== "guild.progress") {
    return html`<details><summary><${TypeName} value=${item.type} /></summary><${Json} value=${item.data} /></details>`;
  }
  return html`<div class="progress"><span><${Text} value=${task} most=${80} /></span>
    ${total ? html`<progress max=${total} value=${done} aria-label=${task}></progress>` : null}
    <span class="soft"><${Text} value=${text} most=${120} /></span></div>`;
}
