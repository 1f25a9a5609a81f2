// The agents of the guild, and what can be done to them.

import { agents as readAgents } from "../api/guild_api.js";
import { countOf, rateOf, secondsOf } from "../logic/format.js";
import { withLive } from "../logic/live_state.js";
import { href } from "../logic/route.js";
import { AgentActs } from "../parts/agent_acts.js";
import { AgentPanel } from "../parts/agent_panel.js";
import { Empty, Loaded, State } from "../parts/notice.js";
import { Page } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { Code, Text } from "../parts/text.js";
import { useLive } from "../state/live.js";
import { useEvery, useLoad } from "../state/load.js";
import { html } from "../vendor/htm-preact.js";

const MOST_ROWS = 200;

export default function Agents({ rest: [chosen], query }) {
  const live = useLive();
  if (chosen) {
    const back = { href: "#/agents", text: "All agents" };
    return html`<${Page} title=${`Agent ${chosen}`} back=${back} className="narrow">
      <${AgentPanel} id=${chosen} live=${live} />
    <//>`;
  }
  return html`<${AllAgents} live=${live} text=${query.text ?? ""} />`;
}

function AllAgents({ live, text }) {
  const found = useLoad(readAgents, []);
  useEvery(5, found.reload, []);
  return html`<${Page} title="Agents" lead="Pausing holds messages back without losing any; draining waits until nothing is in hand.">
    <${Loaded} load=${found}>
      ${(agents) => {
        if (!agents.length) return html`<${Empty} title="This guild has no agents."><p>Add some to its spec, and start it again.</p><//>`;
        const shown = agents.filter((agent) => agent.agent.includes(text)).slice(0, MOST_ROWS);
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
