// One agent: how it is doing, what comes to it and leaves it, and what can be done to it.

import { agent as readAgent } from "../api/guild_api.js";
import { countOf, many, rateOf, secondsOf } from "../logic/format.js";
import { withLive } from "../logic/live_state.js";
import { href } from "../logic/route.js";
import { useEvery, useLoad } from "../state/load.js";
import { html } from "../vendor/htm-preact.js";
import { AgentActs } from "./agent_acts.js";
import { Loaded, State } from "./notice.js";
import { Rates } from "./rates.js";
import { Code, Text, TypeName } from "./text.js";

export function AgentPanel({ id, graph, live, closeHref }) {
  const found = useLoad((options) => readAgent(id, options), [id]);
  useEvery(5, found.reload, [id]);
  return html`<section class="panel stack" aria-labelledby="agent-panel">
    <div class="row spread">
      <h2 id="agent-panel"><${Text} value=${id} /></h2>
      ${closeHref && html`<a href=${closeHref}>Close</a>`}
    </div>
    <${Loaded} load=${found}>
      ${(agent) => html`
        <${Facts} agent=${withLive(agent, live.agents[id])} />
        <${AgentActs} agent=${withLive(agent, live.agents[id])} onDone=${found.reload} />
        <h3>Handled a second, the last two minutes</h3>
        <${Rates} samples=${live.samples} agent=${id} />
      `}
    <//>
    ${graph && html`<${Wires} id=${id} graph=${graph} />`}
    <p class="row">
      <a href=${href(["messages"], { agent: id })}>Messages it sends</a>
      <a href=${href(["dead-letters"], { agent: id })}>Its dead letters</a>
    </p>
  </section>`;
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
