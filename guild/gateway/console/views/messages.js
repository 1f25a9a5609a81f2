// Messages as they pass, 200 of them kept, or those that the topics hold; filtered by the gateway.

import { messagesHeld, messagesUrl } from "../api/guild_api.js";
import { openStream } from "../api/stream.js";
import { many } from "../logic/format.js";
import { render } from "../logic/json.js";
import { MOST_ROWS, withRows } from "../logic/live_state.js";
import { Empty, Loaded, Page, ProblemNotice } from "../parts/page.js";
import { Once } from "../parts/table.js";
import { ConversationLink, Json, Text, Time, TypeName } from "../parts/text.js";
import { connection } from "../state/live.js";
import { useLoad } from "../state/load.js";
import { go, href } from "../state/route.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

const FILTERS = [
  { name: "topic", title: "Topic", hint: "or a pattern, orders.*" },
  { name: "type", title: "Type", hint: "wire name" },
  { name: "agent", title: "Agent", hint: "that sent it" },
  { name: "text", title: "Text", hint: "in the message" },
];
const HELD = "held";
const FRESH = { rows: [], leftOff: 0, missed: 0 };

export default function Messages({ query }) {
  const wanted = Object.fromEntries(FILTERS.map(({ name }) => [name, query[name] ?? ""]));
  const isHeld = query.show === HELD;
  const way = (show) => href(["messages"], { ...wanted, show });
  const tabs = html`<nav class="tabs" aria-label="Which messages">
    <a href=${way("")} aria-current=${isHeld ? undefined : "page"}>As they pass</a><a href=${way(HELD)} aria-current=${isHeld ? "page" : undefined}>What is there</a>
  </nav>
  <${Filters} wanted=${wanted} show=${query.show} />`;
  return isHeld ? html`<${Lying} key=${JSON.stringify(wanted)} wanted=${wanted} tabs=${tabs} />` : html`<${Passing} wanted=${wanted} tabs=${tabs} />`;
}

/** What the topics hold: what waits, and what is kept although it is settled. */
function Lying({ wanted, tabs }) {
  const found = useLoad((options) => messagesHeld(wanted, MOST_ROWS, options), []);
  const actions = html`<button type="button" onClick=${found.reload}>Read again</button>`;
  return html`<${Page} title="Messages" lead="What the topics hold now: messages that wait or are in hand, and those that are kept although they are settled." actions=${actions}>
    ${tabs}
    <${Loaded} load=${found}>
      ${({ rows, left_off: leftOff }) => html`<p class="hint" role="status">${many(rows.length, "message")}${leftOff > 0 ? `, the newest; ${many(leftOff, "older one")} ${leftOff === 1 ? "is" : "are"} not shown` : ""}.</p>
        ${rows.length
          ? html`<ol class="messages">${rows.toReversed().map((row) => html`<${Row} key=${`${row.topic} ${row.id}`} row=${row} />`)}</ol>`
          : html`<${Empty} title="The topics hold nothing that fits."><p>A message leaves its topic when it is settled; <code>keep_settled_s</code> in the spec keeps it longer. What failed is kept in the <a href="#/dead-letters">dead letters</a>.</p><//>`}`}
    <//>
  <//>`;
}

function Passing({ wanted, tabs }) {
  const [isPaused, setIsPaused] = useState(false);
  const tail = useTail(wanted, isPaused, () => setIsPaused(true));
  const actions = html`<button type="button" aria-pressed=${isPaused} onClick=${() => setIsPaused(!isPaused)}>${isPaused ? "Go on" : "Pause"}</button>
    <button type="button" onClick=${tail.clear}>Clear</button>`;
  return html`<${Page} title="Messages" lead="What passes on the topics, as it comes. Watching takes nothing from the agents." actions=${actions}>
    ${tabs}
    <${ProblemNotice} problem=${tail.problem} />
    <p class="hint" role="status">${statusOf(tail, isPaused)}</p>
    ${tail.rows.length
      ? html`<ol class="messages">${tail.rows.map((row) => html`<${Once} key=${row.key} of=${row} draw=${drawn} />`)}</ol>`
      : html`<${Empty} title="Nothing has passed yet.">
          <p>Messages are shown from now on; <a href=${href(["messages"], { ...wanted, show: HELD })}>see what is there already</a>.${Object.values(wanted).some(Boolean) ? " Those that do not fit the filter are left out." : ""} <a href="#/publish">Publish one</a> to see it here.</p>
        <//>`}
  <//>`;
}

const drawn = (row) => html`<${Row} row=${row} />`;

function statusOf({ rows, leftOff, missed }, isPaused) {
  const told = [`${many(rows.length, "message")} shown${rows.length === MOST_ROWS ? ", the newest ones" : ""}`];
  if (leftOff) told.push(`${many(leftOff, "message")} passed too quickly to be shown`);
  if (isPaused) told.push(missed ? `paused; ${many(missed, "message")} passed meanwhile` : "paused");
  return `${told.join("; ")}.`;
}

/**
 * What a stream of `/messages` brings; while paused it is counted, and no more. The view has no other
 * stream: browsers keep few connections to one gateway.
 */
function useTail(wanted, isPaused, onOpen) {
  const [tail, setTail] = useState(FRESH);
  const [problem, setProblem] = useState(null);
  const paused = useRef(isPaused);
  const count = useRef(0);
  paused.current = isPaused;
  useEffect(() => {
    setTail(FRESH);
    const stream = openStream(messagesUrl(wanted), {
      onState: (state) => {
        connection.set(state);
        setProblem(state.problem ?? null);
      },
      onEvent: ({ event, data }) => {
        if (event !== "rows") return;
        const rows = data.rows.map((row) => ({ ...row, key: (count.current += 1), onOpen }));
        const leftOff = data.left_off ?? 0;
        setTail((before) =>
          paused.current
            ? { ...before, missed: before.missed + rows.length + leftOff }
            : { ...before, rows: withRows(before.rows, rows), leftOff: before.leftOff + leftOff },
        );
      },
    });
    return () => {
      stream.close();
      connection.set({ state: "idle" });
    };
  }, Object.values(wanted));
  useEffect(() => setTail((before) => ({ ...before, missed: 0 })), [isPaused]);
  return { ...tail, problem, clear: () => setTail(FRESH) };
}

function Filters({ wanted, show }) {
  const [typed, setTyped] = useState(wanted);
  useEffect(() => setTyped(wanted), Object.values(wanted));
  const apply = (event) => {
    event?.preventDefault();
    go(href(["messages"], { ...typed, show }), { isQuiet: true });
  };
  return html`<form class="filters" role="search" aria-label="Filter" onSubmit=${apply}>
    ${FILTERS.map(
      ({ name, title, hint }) => html`<label class="field"
        ><span class="label">${title}</span>
        <input name=${name} value=${typed[name]} placeholder=${hint} spellcheck=${false} autocapitalize="off" onInput=${(event) => setTyped({ ...typed, [name]: event.target.value })} onChange=${() => apply()} />
      </label>`,
    )}
    <div class="row">
      <button>Filter</button>
      ${Object.values(wanted).some(Boolean) && html`<a href=${href(["messages"], { show })}>Show all</a>`}
    </div>
  </form>`;
}

function Row({ row }) {
  const [isOpen, setIsOpen] = useState(false);
  const turn = () => {
    if (!isOpen) row.onOpen?.(); // what is read should not be pushed away
    setIsOpen(!isOpen);
  };
  return html`<li class="message ${isOpen ? "is-open" : ""}">
    <button type="button" class="message-head" aria-expanded=${isOpen} onClick=${turn}>
      <span class="message-time"><${Time} at=${row.at} /></span>
      <${TypeName} value=${row.type} />
      <span class="message-way"><${Text} value=${row.sender || "outside"} most=${60} /> → <${Text} value=${row.topic} most=${80} /></span>
      <span class="message-data"><${Text} value=${render(row.data ?? null)} most=${300} /></span>
    </button>
    ${isOpen &&
    html`<div class="message-body stack">
      <dl class="facts">
        <dt>Message</dt><dd class="id"><${Text} value=${row.id} /></dd>
        <dt>Conversation</dt><dd><${ConversationLink} id=${row.conversation || row.id} text=${row.conversation || row.id} /></dd>
        ${row.cause && html`<dt>Follows from</dt><dd class="id"><${Text} value=${row.cause} /></dd>`}
      </dl>
      ${row.data === null ? html`<p class="hint">The gateway cannot read this message: its type is not known here.</p>` : html`<${Json} value=${row.data} label="Message" />`}
    </div>`}
  </li>`;
}
