// One conversation in three views: who told whom, when, and because of what.

const BAD = new Set(["failed", "dead_lettered", "dead-lettered", "dead letter", "crashed"]);
const OUTSIDE = "outside";

export function isBad(state) {
  return BAD.has(state);
}

/**
 * The lanes and arrows of a sequence diagram.
 *
 * @param steps of a conversation, in order.
 * @returns {{lanes: string[], arrows: [{step, from, to: number[], }]}} by index of a lane.
 */
export function sequenceOf(steps) {
  const lanes = [];
  const laneOf = (name) => {
    const known = lanes.indexOf(name);
    return known >= 0 ? known : lanes.push(name) - 1;
  };
  const arrows = steps.map((step) => {
    const from = laneOf(step.sender || OUTSIDE);
    const to = receiversOf(step).map(laneOf);
    return { step, from, to };
  });
  return { lanes, arrows };
}

/** The agents that a message went to; its topic where none is known, `outside` for an answer. */
export function receiversOf(step) {
  const agents = step.agents.map((each) => each.agent);
  if (agents.length) return agents;
  return [step.topic.startsWith("_") ? OUTSIDE : step.topic];
}

/**
 * One bar for each handling, in seconds from the first one on.
 *
 * @returns {{lengthS: number, bars: [{step, agent, state, fromS, waitedS, handledS}]}}
 */
export function timelineOf(steps) {
  const timed = steps.filter((step) => step.at !== null);
  if (!timed.length) return { lengthS: 0, bars: [] };
  const startAt = Math.min(...timed.map((step) => step.at));
  const bars = timed.flatMap((step) => {
    const handlings = step.agents.length ? step.agents : [{ agent: receiversOf(step)[0] }];
    return handlings.map((handling) => ({
      step,
      agent: handling.agent,
      state: handling.state ?? step.state,
      fromS: step.at - startAt,
      waitedS: handling.waited_s ?? 0,
      handledS: handling.handled_s ?? 0,
      isTimed: typeof handling.waited_s === "number",
    }));
  });
  const ends = bars.map((bar) => bar.fromS + bar.waitedS + bar.handledS);
  return { lengthS: Math.max(...ends, 0.001), bars };
}

/** What followed from what: `[{step, children}]`; a cause that is not kept makes a root. */
export function treeOf(steps) {
  const nodes = new Map(steps.map((step) => [step.id, { step, children: [] }]));
  const roots = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.step.cause);
    const isCircle = parent && reaches(nodes, parent, node);
    (parent && !isCircle ? parent.children : roots).push(node);
  }
  return roots;
}

function reaches(nodes, from, target) {
  const seen = new Set();
  for (let node = from; node && !seen.has(node); node = nodes.get(node.step.cause)) {
    if (node === target) return true;
    seen.add(node);
  }
  return false;
}
