// Where the agents of a guild and the arrows between them are drawn.

export const LEAST_SCALE = 0.75; // below it texts are hard to read, and the graph is scrolled

const LETTER = 8.4; // px: an average letter of the names
const LABEL_LETTER = 6.7;
const LOOP = 20; // px: by so much it stands out
const NODE = { least: 168, most: 240, height: 62 };
const SMALL = { least: 72, most: 200, height: 32 };
const LABEL_HEIGHT = 18;
const MOST_LETTERS = 26;
const RATE_LETTERS = 8; // of the rate behind the label
const MOST_LABELS = 10; // arrows: with more of them there is place for rates alone

const MOST_TO_TRY = 80; // nodes: beyond it one layout takes long enough
const MOST_ARROWS = 250; // beyond it a layout takes seconds, and shows a thicket

/** The one of both directions that is the largest where there is `width` and `height`. */
export function bestLayout(graph, dagre, width, height) {
  if (arrowsOf(graph.edges).bundles.length > MOST_ARROWS) return inRows(graph, width);
  const fit = (laid) => Math.min(width / laid.width, height / laid.height);
  const directions = graph.nodes.length > MOST_TO_TRY ? ["LR"] : ["LR", "TB"];
  const laid = directions.map((direction) => layOut(graph, dagre, direction));
  return laid.reduce((best, each) => (fit(each) > fit(best) ? each : best));
}

/**
 * Bundles the edges between two nodes and lays all of it out.
 *
 * @param graph `{nodes: [{id, ...}], edges: [{source, target, message, kind}]}`.
 * @param dagre the library.
 * @param direction `LR` or `TB`.
 * @returns {{nodes, edges, isDense, width, height}} with centres, sizes and the points of each arrow,
 *     or its path as `loop`, where it ends where it begins.
 */
export function layOut(graph, dagre, direction = "LR") {
  const agents = new Map(graph.nodes.map((node) => [node.id, node]));
  const { bundles, isDense } = arrowsOf(graph.edges);
  const ids = new Set([...agents.keys(), ...bundles.flatMap(({ source, target }) => [source, target])]);
  const drawn = new dagre.graphlib.Graph({ multigraph: true });
  drawn.setGraph({ rankdir: direction, nodesep: 28, ranksep: 56, edgesep: 18, marginx: 16, marginy: 16 });
  for (const id of ids) drawn.setNode(id, sizeOf(id, agents.has(id)));
  bundles.forEach((bundle, index) => {
    if (isLoop(bundle)) return;
    const letters = (isDense ? 0 : lettersOf(bundle.label)) + RATE_LETTERS;
    const size = { width: letters * LABEL_LETTER, height: LABEL_HEIGHT, labelpos: "c" };
    drawn.setEdge(...endsOf(bundle), size, String(index));
  });
  dagre.layout(drawn);
  const nodes = [...ids].map((id) => ({ id, agent: agents.get(id), ...drawn.node(id) }));
  const edges = bundles.map((bundle, index) => {
    if (isLoop(bundle)) return { ...bundle, loop: loopOf(drawn.node(bundle.source)) };
    const { points, ...place } = drawn.edge(...endsOf(bundle), String(index));
    return { ...bundle, ...place, points: bundle.isReply ? points.toReversed() : points };
  });
  const { width, height } = drawn.graph();
  return { nodes, edges, isDense, width: Math.max(width, 1), height: Math.max(height, 1) };
}

/**
 * Agents beside and below each other in their order, with straight arrows, of which those of one
 * agent can be drawn (`areMany`).
 */
export function inRows({ nodes, edges: all }, width) {
  const [wide, high] = [Math.max(0, ...nodes.map(({ id }) => sizeOf(id, true).width)) + 20, NODE.height + 24];
  const columns = Math.max(1, Math.floor(width / LEAST_SCALE / wide));
  const at = new Map(nodes.map((agent, index) => {
    const [x, y] = [((index % columns) + 0.5) * wide, (Math.floor(index / columns) + 0.5) * high + LOOP / 2];
    return [agent.id, { id: agent.id, agent, x, y, width: wide - 20, height: NODE.height }];
  }));
  const edges = arrowsOf(all).bundles.filter(({ source, target }) => at.has(source) && at.has(target)).map((bundle) => {
    const [from, to] = [at.get(bundle.source), at.get(bundle.target)];
    if (from === to) return { ...bundle, loop: loopOf(from) };
    return { ...bundle, points: [rimOf(from, to), rimOf(to, from)], x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  });
  return { nodes: [...at.values()], edges, isDense: true, areMany: true, width: columns * wide, height: Math.ceil(at.size / columns) * high + LOOP / 2 };
}

/** Where the straight way from `node` to another leaves it. */
function rimOf(node, other) {
  const [x, y] = [other.x - node.x, other.y - node.y];
  const share = Math.min(node.width / 2 / Math.abs(x), node.height / 2 / Math.abs(y));
  return { x: node.x + x * share, y: node.y + y * share };
}

/** In a dense graph a question and its answer are one arrow with two ends. */
function arrowsOf(edges) {
  const bundles = bundled(edges);
  if (bundles.length <= MOST_LABELS) return { bundles, isDense: false };
  const asks = (answer) => bundles.find((each) => !each.isReply && isOpposite(each, answer));
  const told = bundles.map((bundle) => ({ ...bundle }));
  const kept = told.filter((bundle, index) => !bundle.isReply || !asks(bundles[index]));
  for (const answer of bundles.filter((bundle) => bundle.isReply && asks(bundle))) {
    const question = told[bundles.indexOf(asks(answer))];
    question.answers = answer.messages;
  }
  return { bundles: kept, isDense: true };
}

function isOpposite(one, other) {
  return one.source === other.target && one.target === other.source;
}

/** What an agent sends to itself; it has no room for a label, which the agent's own page has. */
function isLoop({ source, target }) {
  return source === target;
}

function loopOf({ x, y, width, height }) {
  const [right, top] = [round(x + width / 2 - 14), round(y - height / 2)];
  return `M${right - 24} ${top}C${right - 24} ${top - LOOP} ${right} ${top - LOOP} ${right} ${top}`;
}

/** An answer is laid out as if it were asked: so those who ask stand before those who are asked. */
function endsOf({ source, target, isReply }) {
  return isReply ? [target, source] : [source, target];
}

/** The messages between the same two in one arrow; answers apart, since they point back. */
export function bundled(edges) {
  const bundles = new Map();
  for (const { source, target, message, kind } of edges) {
    const isReply = kind === "reply";
    const key = JSON.stringify([source, target, isReply]);
    const bundle = bundles.get(key) ?? { source, target, isReply, messages: [] };
    if (!bundle.messages.includes(message)) bundle.messages.push(message);
    bundles.set(key, bundle);
  }
  return [...bundles.values()].map((bundle) => ({ ...bundle, label: labelOf(bundle.messages) }));
}

function labelOf([first, ...more]) {
  const name = first.length > MOST_LETTERS ? `${first.slice(0, MOST_LETTERS - 1)}…` : first;
  return more.length ? `${name} +${more.length}` : name;
}

function lettersOf(text) {
  return Math.max(text.length, 3);
}

function sizeOf(id, isAgent) {
  const size = isAgent ? NODE : SMALL;
  const width = Math.min(Math.max(lettersOf(id) * LETTER + 40, size.least), size.most);
  return { width, height: size.height };
}

/** The points of an arrow as the path of an SVG, its corners rounded. */
export function pathOf(points) {
  const [first, ...rest] = points.map(({ x, y }) => [round(x), round(y)]);
  const last = rest.pop() ?? first;
  const bends = rest.map(([x, y], index) => {
    const [nextX, nextY] = rest[index + 1] ?? last;
    const isEnd = index === rest.length - 1;
    return isEnd ? `Q${x} ${y} ${last.join(" ")}` : `Q${x} ${y} ${round((x + nextX) / 2)} ${round((y + nextY) / 2)}`;
  });
  return `M${first.join(" ")}${bends.join("") || `L${last.join(" ")}`}`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
