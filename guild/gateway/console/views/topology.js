// Who sends what to whom, with what happens there now.

import { AgentPanel } from "./agents.js";
import { countOf, many, rateOf, secondsOf, shortOf } from "../logic/format.js";
import { LEAST_SCALE, pathOf } from "../logic/graph_layout.js";
import { cut, visible } from "../logic/json.js";
import { atLeast, totalsOf } from "../logic/live_state.js";
import { Empty, Page, toneOf } from "../parts/page.js";
import { fontScale, useLayout, useWidth } from "../state/layout.js";
import { useLive } from "../state/live.js";
import { href } from "../state/route.js";
import { keptLetters, MOST_LETTERS, useGuild, useStore } from "../state/store.js";
import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";

const ZOOMS = [0.35, 0.5, 0.7, 0.85, 1, 1.25, 1.6, 2];

export default function Topology({ rest: [chosen] }) {
  const { guild, graph } = useGuild();
  const live = useLive();
  return html`<${Page} title="Topology" lead="Agents and the messages between them. What waits is looked at every 5 s; failures count from when somebody began to watch.">
    <${Figures} live=${live} />
    ${guild.warnings?.length > 0 &&
    html`<details class="notice"><summary>${many(guild.warnings.length, "warning")} about the wiring</summary>
      <ul>${guild.warnings.map((text) => html`<li>${visible(text)}</li>`)}</ul>
    </details>`}
    <${Graph} graph=${graph} live=${live} chosen=${chosen} />
  <//>`;
}

function Figures({ live }) {
  const totals = totalsOf(live.agents);
  const kept = useStore(keptLetters).length;
  const isKnown = live.at !== null;
  const told = [
    ["Handled a second", isKnown ? rateOf(totals.perS) : "–"],
    ["Waiting", isKnown ? countOf(totals.waiting) : "–"],
    ["In hand", isKnown ? countOf(totals.inHand) : "–"],
    ["Oldest waits", isKnown ? secondsOf(totals.oldestS) : "–"],
    ["Failed attempts", isKnown ? countOf(totals.failed) : "–", totals.failed > 0],
    ["Dead letters", kept ? html`<a href="#/dead-letters">${atLeast(kept, MOST_LETTERS)}</a>` : "0", kept > 0],
  ];
  return html`<dl class="figures">
    ${told.map(([name, value, isBad]) => html`<div><dt>${name}</dt><dd class=${isBad ? "bad-text" : ""}>${value}</dd></div>`)}
  </dl>`;
}

function Graph({ graph, live, chosen }) {
  if (!graph.nodes.length) {
    return html`<${Empty} title="This guild has no agents."><p>Add some to its spec, and start it again.</p><//>`;
  }
  return html`<div class=${chosen ? "split" : ""}>
    <${Drawing} graph=${graph} live=${live} chosen=${chosen} />
    ${chosen && html`<${AgentPanel} id=${chosen} graph=${graph} live=${live} closeHref="#/topology" />`}
  </div>`;
}

function Drawing({ graph, live, chosen }) {
  const box = useRef(null);
  const width = useWidth(box);
  const [zoom, setZoom] = useState(null); // null: as large as fits
  const laid = useLayout(graph, width);
  const fitting = laid ? Math.min((laid.areMany ? 1 : 1.15) * fontScale(), width / laid.width) : 1;
  const scale = zoom ?? Math.max(fitting, LEAST_SCALE);
  useLayoutEffect(() => {
    const node = laid && laid.nodes.find(({ id }) => id === chosen);
    if (!node) return;
    box.current.scrollLeft = node.x * scale - box.current.clientWidth / 2;
    box.current.scrollTop = node.y * scale - box.current.clientHeight / 2;
  }, [laid, chosen, scale]);
  return html`<div class="stack">
    <div class="drawing" ref=${box} tabindex="0" role="region" aria-label="Graph of the guild">
      ${laid ? html`<${Svg} laid=${laid} scale=${scale} live=${live} chosen=${chosen} />` : html`<p class="loading" aria-busy="true">Drawing …</p>`}
    </div>
    <div class="row">
      <button type="button" onClick=${() => setZoom(stepped(scale, -1))} aria-label="Smaller">−</button>
      <button type="button" onClick=${() => setZoom(stepped(scale, 1))} aria-label="Larger">+</button>
      <button type="button" onClick=${() => setZoom(fitting)} aria-pressed=${zoom === fitting}>All of it</button>
      <span class="hint legend">${laid?.areMany
        ? "Choose an agent to see its arrows: all of them are too many."
        : laid?.isDense
        ? "Choose an agent to see which messages its arrows are."
        : html`<span class="legend-line"></span> sent <span class="legend-line dashed"></span> answered`}</span>
    </div>
  </div>`;
}

function stepped(scale, by) {
  const larger = ZOOMS.filter((each) => each > scale + 0.01);
  const smaller = ZOOMS.filter((each) => each < scale - 0.01);
  return by > 0 ? (larger[0] ?? scale) : (smaller.at(-1) ?? scale);
}

function Svg({ laid, scale, live, chosen }) {
  const kept = lettersByAgent(useStore(keptLetters));
  const { width, height } = laid;
  return html`<svg
    class="graph"
    viewBox=${`0 0 ${width} ${height}`}
    width=${Math.round(width * scale)}
    height=${Math.round(height * scale)}
    role="group"
    aria-label=${many(laid.nodes.filter((node) => node.agent).length, "agent")}
  >
    <defs>
      <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
        <path d="M0 0.5L8 4L0 7.5z" />
      </marker>
    </defs>
    ${laid.edges.filter((edge) => !laid.areMany || isOf(edge, chosen)).map((edge) => html`<${Arrow} edge=${edge} isDense=${laid.isDense} live=${live} chosen=${chosen} />`)}
    ${laid.nodes.map((node) =>
      node.agent
        ? html`<${AgentNode} node=${node} told=${live.agents[node.id]} kept=${kept.get(node.id)} isChosen=${node.id === chosen} />`
        : html`<${OuterNode} node=${node} />`,
    )}
  </svg>`;
}

function lettersByAgent(letters) {
  const counts = new Map();
  for (const { agent } of letters) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  const more = letters.length < MOST_LETTERS ? "" : "+";
  return new Map([...counts].map(([agent, count]) => [agent, `${count}${more}`]));
}

const LETTER = 6.7; // px: of the labels, which are set in a fixed width

const isOf = ({ source, target }, agent) => source === agent || target === agent;

function Arrow({ edge, isDense, live, chosen }) {
  const isNear = isOf(edge, chosen);
  const rate = rateOfEdge(edge, live.edges);
  const classes = ["arrow", edge.isReply && "reply", isNear && "near", chosen && !isNear && "far", rate > 0 && "flows"];
  const names = [...edge.messages, ...(edge.answers ?? [])].join(", ");
  const title = html`<title>${visible(`${edge.source} to ${edge.target}: ${names}`)}</title>`;
  const told = [isDense ? "" : edge.label, rate > 0 ? `${rateOf(rate)}/s` : ""].filter(Boolean);
  const text = edge.loop ? "" : told.join(" ");
  const half = (text.length * LETTER) / 2 + 3;
  return html`<g class=${classes.filter(Boolean).join(" ")}>
    <path d=${edge.loop ?? pathOf(edge.points)} marker-end="url(#tip)" marker-start=${edge.answers && "url(#tip)"}>${!text && title}</path>
    ${text && html`<rect x=${edge.x - half} y=${edge.y - 8} width=${2 * half} height="16" rx="2" /><text x=${edge.x} y=${edge.y + 4}>${title}${visible(text)}</text>`}
  </g>`;
}

/** What went that way a second, where the gateway tells it. */
function rateOfEdge(edge, edges) {
  const told = edges[`${edge.source} ${edge.target}`];
  return (typeof told === "object" ? told?.per_s : told) ?? 0;
}

function OuterNode({ node }) {
  const { x, y, width, height } = node;
  return html`<g class="outer" aria-hidden="true">
    <rect x=${x - width / 2} y=${y - height / 2} width=${width} height=${height} rx=${height / 2} />
    <text x=${x} y=${y + 4}>${visible(cut(node.id, 26))}</text>
  </g>`;
}

function AgentNode({ node, told = {}, kept, isChosen }) {
  const { x, y, width, height, id } = node;
  const letters = Math.floor((width - 36) / 8.4);
  const [left, right] = [x - width / 2 + 12, x + width / 2 - 12];
  const trouble = troubleOf(told, kept);
  return html`<a
    class="agent ${toneOf(told.state ?? "")} ${isChosen ? "chosen" : ""}"
    href=${href(["topology", id])}
    aria-label=${spoken(id, told, kept)}
    aria-current=${isChosen ? "true" : undefined}
  >
    <rect x=${left - 12} y=${y - height / 2} width=${width} height=${height} rx="5" />
    <circle class="lamp" cx=${left + 2} cy=${y - 13} r="4.5" />
    <text class="name" x=${left + 14} y=${y - 8}>${visible(cut(id, letters))}</text>
    ${" "}<text class="figure" x=${left} y=${y + 9}>${doing(told)}</text>
    ${" "}<text class="figure" x=${left} y=${y + 24}>${waits(told, !trouble)}</text>
    ${" "}<text class="figure end trouble" x=${right} y=${y + 24}>${trouble}</text>
  </a>`;
}

/** What the agent does; a state that is worth a word in its place. */
function doing({ per_s: perS, state = "", in_hand: inHand }) {
  if (!["active", ""].includes(state)) return state;
  if (perS === undefined) return state || "…";
  const speed = `${perS < 10_000 ? rateOf(perS) : shortOf(perS)}/s`;
  return inHand ? `${speed}, ${shortOf(inHand)} in hand` : speed;
}

function waits({ waiting, oldest_s: oldestS }, hasRoom) {
  if (!waiting) return "";
  return `${shortOf(waiting)} wait${hasRoom && oldestS > 0.5 ? ` ${secondsOf(oldestS)}` : ""}`;
}

/** The letters that are kept, else the attempts that failed while somebody watched. */
function troubleOf({ failed }, kept) {
  if (kept) return `${kept} dead`;
  return failed ? `${shortOf(failed)} failed` : "";
}

/** What is seen, in the same order, and the state. */
function spoken(id, told, kept) {
  const seen = [visible(id), doing(told), waits(told, true), troubleOf(told, kept)];
  return [...seen, doing(told) === told.state ? "" : told.state].filter(Boolean).join(", ");
}
