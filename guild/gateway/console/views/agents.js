// The agents of the guild: how each is doing, what comes to it and leaves it, what can be done to it.

import { agent as readAgent, agents as readAgents, drain, pause, resume } from "../api/guild_api.js";
import { countOf, many, rateOf, secondsOf } from "../logic/format.js";
import { visible } from "../logic/json.js";
import { withLive } from "../logic/live_state.js";
import { Confirm, Empty, Loaded, Page, ProblemNotice, State } from "../parts/page.js";
import { Plot } from "../parts/plot.js";
import { Table } from "../parts/table.js";
import { Code, Text, TypeName } from "../parts/text.js";
import { useAct } from "../state/act.js";
import { useLive } from "../state/live.js";
import { useEvery, useLoad } from "../state/load.js";
import { href } from "../state/route.js";
import { useGuild } from "../state/store.js";
import { html, useMemo, useState } from "../vendor/htm-preact.js";

const MOST_ROWS = 200;

export default function Agents({ rest: [chosen] }) {
  const live = useLive();
  if (chosen) {
    const back = { href: "#/agents", text: "All agents" };
    return html`<${Page} title=${`Agent ${chosen}`} back=${back} className="narrow">
      <${AgentPanel} id=${chosen} live=${live} />
    <//>`;
  }
  return html`<${AllAgents} live=${live} />`;
}

const isWell = ({ state, problem }) => state === "active" && !problem;

function AllAgents({ live }) {
  const found = useLoad(readAgents, []);
  useEvery(5, found.reload, []);
  return html`<${Page} title="Agents" lead="Pausing holds messages back without losing any; draining waits until nothing is in hand.">
    <${Loaded} load=${found}>
      ${(agents) => {
        if (!agents.length) return html`<${Empty} title="This guild has no agents."><p>Add some to its spec, and start it again.</p><//>`;
        const shown = [...agents].sort((one, other) => isWell(one) - isWell(other)).slice(0, MOST_ROWS);
        return html`<${Table} label="Agents" rows=${shown.map((agent) => withLive(agent, live.agents[agent.agent]))} keyOf=${(agent) => agent.agent} columns=${columnsOf(found.reload)} />
          ${shown.length < agents.length && html`<p class="hint">${countOf(agents.length - shown.length)} more are not shown.</p>`}`;
      }}
    <//>
  <//>`;
}

function columnsOf(reload) {
  return [
    { title: "Agent", isMain: true, cell: (agent) => html`<a href=${href(["agents", agent.agent])}><${Text} value=${agent.agent} most=${80} /></a>` },
    { title: "State", cell: (agent) => html`<${State} value=${agent.state} />${agent.problem && html`<p class="bad-text"><${Text} value=${agent.problem} most=${90} /></p>`}` },
    { title: "Replicas", isNumber: true, cell: (agent) => `${agent.running} of ${agent.replicas}` },
    { title: "A second", isNumber: true, cell: (agent) => (agent.figures.per_s === undefined ? "–" : rateOf(agent.figures.per_s)) },
    { title: "Waiting", isNumber: true, cell: (agent) => countOf(agent.waiting) },
    { title: "In hand", isNumber: true, cell: (agent) => countOf(agent.in_hand) },
    { title: "Oldest", isNumber: true, cell: (agent) => secondsOf(agent.oldest_s) },
    { title: "Topics", cell: (agent) => html`<span class="words">${agent.topics.map((topic) => html`<${Code} value=${topic} most=${60} />`)}</span>` },
    { title: "Acts", cell: (agent) => html`<${AgentActs} agent=${agent} onDone=${reload} />` },
  ];
}

// One agent: how it is doing, what comes to it and leaves it, and what can be done to it.

export function AgentPanel({ id, graph, live, closeHref }) {
  const found = useLoad((options) => readAgent(id, options), [id]);
  const isGone = found.problem?.status === 404;
  useEvery(5, found.reload, [id]);
  return html`<section class="panel stack" aria-label=${visible(id)}>
    ${closeHref && html`<div class="row spread"><h2><${Text} value=${id} /></h2><a href=${closeHref}>Close</a></div>`}
    <${Loaded} load=${found} missing=${noAgent(id)}>
      ${(agent) => html`
        <${Facts} agent=${withLive(agent, live.agents[id])} />
        <${AgentActs} agent=${withLive(agent, live.agents[id])} onDone=${found.reload} />
        <${closeHref ? "h3" : "h2"}>Handled a second, the last two minutes<//>
        <${Rates} samples=${live.samples} agent=${id} />
      `}
    <//>
    ${graph && html`<${Wires} id=${id} graph=${graph} />`}
    ${!isGone && html`<p class="row">
      <a href=${href(["messages"], { agent: id })}>Messages it sends</a>
      <a href=${href(["dead-letters"], { agent: id })}>Its dead letters</a>
    </p>`}
  </section>`;
}

const noAgent = (id) => ({
  title: html`The guild has no agent <${Text} value=${id} most=${100} />.`,
  text: html`It may have had one by another spec. <a href="#/agents">See all agents</a>.`,
});

const SHOWN_S = 120;

function Rates({ samples, agent }) {
  const lines = useMemo(() => [{ xs: samples.map(({ at }) => at), ys: samples.map(({ perS }) => perS[agent] ?? 0), look: "" }], [samples, agent]);
  const rates = lines[0].ys;
  const told = rates.length ? `Now ${rateOf(rates.at(-1))}, at most ${rateOf(Math.max(...rates))} a second.` : "Nothing was measured yet.";
  return html`<div><${Plot} lines=${lines} height=${120} lastS=${SHOWN_S} /><p class="hint">${told}</p></div>`;
}

function Facts({ agent }) {
  const { figures } = agent;
  return html`${agent.problem && html`<p class="notice bad"><${Text} value=${agent.problem} /></p>`}
    <dl class="facts">
      <dt>State</dt><dd><${State} value=${agent.state} /></dd>
      <dt>Replicas</dt><dd>${agent.running} seen, ${many(agent.replicas, "wanted", "wanted")}${agent.restarts ? `, ${many(agent.restarts, "restart")}` : ""}</dd>
      <dt>Type</dt><dd><${Code} value=${agent.type || "unknown"} /></dd>
      <dt>Topics</dt><dd class="words">${agent.topics.map((topic) => html`<${Code} value=${topic} />`)}</dd>
      <dt>Waiting</dt><dd>${countOf(agent.waiting)}, ${countOf(agent.in_hand)} in hand${agent.oldest_s ? `; the oldest for ${secondsOf(agent.oldest_s)}` : ""}</dd>
      ${figures?.per_s !== undefined &&
      html`<dt>Handling</dt><dd>${rateOf(figures.per_s)} a second${latency(figures)}</dd>`}
    </dl>`;
}

function latency({ handled_s: handled, waited_s: waited }) {
  const told = [];
  if (typeof handled?.p50 === "number") told.push(`half within ${secondsOf(handled.p50)}, 95 % within ${secondsOf(handled.p95)}`);
  if (typeof waited?.p95 === "number") told.push(`95 % wait less than ${secondsOf(waited.p95)}`);
  return told.map((text) => `; ${text}`).join("");
}

function Wires({ id, graph }) {
  const comes = graph.edges.filter((edge) => edge.target === id);
  const goes = graph.edges.filter((edge) => edge.source === id);
  return html`${comes.length > 0 && html`<h3>Comes to it</h3><${WireList} edges=${comes} end="source" word="from" />`}
  ${goes.length > 0 && html`<h3>Leaves it</h3><${WireList} edges=${goes} end="target" word="to" />`}`;
}

function WireList({ edges, end, word }) {
  return html`<ul class="plain">
    ${edges.map((edge) => html`<li><${TypeName} value=${edge.message} /> <span class="soft">${word} <${Text} value=${edge[end]} />, ${edge.kind}</span></li>`)}
  </ul>`;
}

// Pause, resume and drain, each after it is said what will happen.

export function AgentActs({ agent, onDone }) {
  const { may } = useGuild();
  const [asked, setAsked] = useState("");
  const resuming = useAct(async () => {
    await resume(agent.agent);
    onDone();
    return `${agent.agent} goes on.`;
  });
  if (!may("operate")) return null;
  const isPaused = agent.state.includes("paused");
  return html`<div class="row">
    ${isPaused
      ? html`<button type="button" disabled=${resuming.isBusy} onClick=${resuming.run}>Resume<span class="unseen"> ${agent.agent}</span></button>`
      : html`<button type="button" onClick=${() => setAsked("pause")}>Pause<span class="unseen"> ${agent.agent}</span></button>
          <button type="button" onClick=${() => setAsked("drain")}>Drain<span class="unseen"> ${agent.agent}</span></button>`}
    <${ProblemNotice} problem=${resuming.problem} />
    ${asked === "pause" && html`<${AskPause} agent=${agent} onDone=${onDone} onClose=${() => setAsked("")} />`}
    ${asked === "drain" && html`<${AskDrain} agent=${agent} onDone=${onDone} onClose=${() => setAsked("")} />`}
  </div>`;
}

function AskPause({ agent, onDone, onClose }) {
  const act = async () => {
    await pause(agent.agent);
    onDone();
    return `${agent.agent} is paused until it is resumed.`;
  };
  return html`<${Confirm} title=${`Pause ${agent.agent}?`} button="Pause" act=${act} onClose=${onClose}>
    <p>No replica of it, in any process, begins another message until it is resumed. What runs comes to its end.</p>
    <p>Nothing is lost: what is sent to it meanwhile waits. When its topics are full, senders are refused.</p>
  <//>`;
}

function AskDrain({ agent, onDone, onClose }) {
  const act = async ({ seconds }) => {
    const { in_hand: left } = await drain(agent.agent, seconds);
    onDone();
    return left
      ? `${agent.agent} is paused; ${many(left, "message")} of it still ran after ${seconds} s.`
      : `${agent.agent} is drained, and paused until it is resumed.`;
  };
  const asks = { seconds: "Wait at most, in seconds" };
  return html`<${Confirm} title=${`Drain ${agent.agent}?`} button="Drain" act=${act} asks=${asks} onClose=${onClose}>
    <p>It is paused, and this waits until no replica has a message of it in hand. It stays paused afterwards, until it is resumed.</p>
  <//>`;
}
