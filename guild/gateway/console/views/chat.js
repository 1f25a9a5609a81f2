// Talk with any handler that emits text, and see it as it is written.

import { cancel, schemas as readSchemas } from "../api/guild_api.js";
import { chatsOf, pieceOf, requestOf, textOf } from "../logic/chat.js";
import { Empty, Loaded, Page, ProblemNotice } from "../parts/page.js";
import { Json, Text } from "../parts/text.js";
import { ask } from "../state/asking.js";
import { useLoad } from "../state/load.js";
import { go, href } from "../state/route.js";
import { useGuild } from "../state/store.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

const TIMEOUT_S = 600;
const MOST_TURNS = 200;
const CANCELLED = "RequestCancelledError";

export default function Chat({ rest: [chosen] }) {
  const { may } = useGuild();
  const found = useLoad(readSchemas, [], { isOfSpec: true });
  return html`<${Page} title="Chat" className="narrow" lead="Talk with an agent that writes its answer as you watch.">
    ${!may("publish") && html`<p class="notice">Your token may not ask; it needs the scope <code>publish</code>.</p>`}
    <${Loaded} load=${found}>
      ${(types) => {
        const chats = chatsOf(types);
        const type = chats.find((each) => each.type === chosen) ?? chats[0];
        if (!type) {
          return html`<${Empty} title="No agent of this guild emits text.">
            <p>A handler can be talked with when it says that it emits <code>TextDelta</code> and takes a text or a list of messages. A spec with a language model comes from <code>guildbus init</code>.</p>
          <//>`;
        }
        return html`${chats.length > 1 && html`<${Choice} chats=${chats} type=${type} />`}<${Dialogue} key=${type.type} type=${type} mayAsk=${may("publish")} />`;
      }}
    <//>
  <//>`;
}

function Choice({ chats, type }) {
  return html`<label class="field half"><span class="label">Talk by</span>
    <select value=${type.type} onChange=${(event) => go(href(["chat", event.target.value]))}>
      ${chats.map((each) => html`<option value=${each.type} selected=${each === type}>${each.type}, handled by ${each.handled_by.join(", ")}</option>`)}
    </select>
  </label>`;
}

function Dialogue({ type, mayAsk }) {
  const [turns, setTurns] = useState([]);
  const [said, setSaid] = useState("");
  const asking = useRef(null);
  const field = useRef(null);
  const end = useRef(null);
  const last = turns.at(-1);
  const isBusy = Boolean(last?.isWriting);
  useEffect(() => () => asking.current?.close(), []);
  useEffect(() => end.current?.scrollIntoView({ block: "nearest" }), [last?.text, turns.length]);
  const patch = (change) =>
    setTurns((before) => [...before.slice(0, -1), { ...before.at(-1), ...(typeof change === "function" ? change(before.at(-1)) : change) }]);
  const send = (event) => {
    event?.preventDefault();
    const text = said.trim();
    if (!text || isBusy || !mayAsk) return;
    const data = requestOf(type.field, turns, text);
    setTurns([...turns, { role: "user", text }, { role: "assistant", text: "", isWriting: true }].slice(-MOST_TURNS));
    setSaid("");
    const topic = type.topics.find((each) => !/[*>]/.test(each)) ?? type.topics[0];
    asking.current = ask(topic, { type: type.type.split("@")[0], data, timeout_s: TIMEOUT_S }, {
      onAccepted: (receipt) => patch({ receipt }),
      onEmitted: (item) => patch((turn) => ({ text: turn.text + pieceOf(item) })),
      onAnswer: (answer) => patch((turn) => ({ isWriting: false, answer, text: textOf(answer, text) || turn.text })),
      onProblem: (problem) => patch({ isWriting: false, problem }),
    });
  };
  const stop = () => cancel(last.receipt.message_id, "stopped in the console").catch((problem) => patch({ problem }));
  const keys = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) send(event);
  };
  return html`<div class="chat">
    <div class="turns" role="log" aria-label="Dialogue" tabindex="0">
      ${!turns.length && html`<p class="hint">Say something to <${Text} value=${type.handled_by.join(", ")} />. ${type.field.isDialogue ? "It is told all of the dialogue each time." : "Each message stands for itself: this type keeps no dialogue."}</p>`}
      ${turns.map((turn) => html`<${Turn} turn=${turn} agent=${type.handled_by.join(", ")} />`)}
      <div ref=${end}></div>
    </div>
    <form class="say" onSubmit=${send}>
      <label class="field"><span class="unseen">What to say</span>
        <textarea ref=${field} rows="2" value=${said} placeholder="Enter sends, Shift and Enter begins a line" onInput=${(event) => setSaid(event.target.value)} onKeyDown=${keys}></textarea>
      </label>
      ${isBusy ? html`<button type="button" disabled=${!last.receipt} onClick=${stop}>Stop</button>` : html`<button class="primary" disabled=${!mayAsk || !said.trim()}>Send</button>`}
    </form>
    ${turns.length > 0 && !isBusy && html`<p><button type="button" class="quiet" onClick=${() => setTurns([])}>Begin anew</button></p>`}
  </div>`;
}

function Turn({ turn, agent }) {
  return html`<article class="turn ${turn.role}" aria-busy=${Boolean(turn.isWriting)}>
    <p class="speaker">${turn.role === "user" ? "You" : html`<${Text} value=${agent} most=${60} />`}</p>
    <div class="said"><${Text} value=${turn.text} />${turn.isWriting && html`<span class="caret" aria-hidden="true"></span>`}</div>
    ${turn.answer?.data?.thinking && html`<details><summary>Its thinking</summary><p class="said"><${Text} value=${turn.answer.data.thinking} /></p></details>`}
    ${turn.answer && html`<details class="soft"><summary>The whole answer</summary><${Json} value=${turn.answer.data} /></details>`}
    ${turn.problem?.error === CANCELLED ? html`<p class="hint">It was stopped.</p>` : html`<${ProblemNotice} problem=${turn.problem} />`}
    ${turn.receipt && !turn.isWriting && html`<p class="hint"><a href=${href(["conversations", turn.receipt.conversation || turn.receipt.message_id])}>How it came about</a></p>`}
  </article>`;
}
