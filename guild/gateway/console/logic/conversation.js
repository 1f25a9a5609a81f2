// One conversation in three views: who told whom, when, and because of what; and those of late.

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

// The steps of a conversation as the gateway tells them, with their times as numbers.

export function stepsOf(conversation) {
  return (conversation.steps ?? []).map((step, index) => ({
    ...step,
    number: index + 1,
    at: step.at === null || step.at === undefined ? null : momentOf(step.at),
    agents: step.agents ?? [],
  }));
}

function momentOf(at) {
  const seconds = typeof at === "number" ? at : Date.parse(at) / 1000;
  return Number.isNaN(seconds) ? null : seconds;
}

// The conversations of late, from the handlings that the live view knows.

const WORST = ["dead_lettered"];

/**
 * One row a conversation, the last handled first: its last handling, or the one that was given up.
 *
 * @param rows handlings, the newest first.
 */
export function recentOf(rows, most = 50) {
  const found = new Map();
  for (const row of rows) {
    const id = row.conversation || row.id;
    const known = found.get(id);
    if (!known) found.set(id, row);
    else if (WORST.includes(row.outcome) && !WORST.includes(known.outcome)) found.set(id, { ...row, at: known.at });
  }
  return [...found.values()].sort((one, other) => other.at - one.at).slice(0, most);
}

/** The latest dead letter of each conversation, the last first; of `letters`, the oldest first. */
export function failedOf(letters, most = 20) {
  const latest = new Map(letters.map((letter) => [letter.conversation || letter.message_id, letter]));
  return [...latest.values()].reverse().slice(0, most);
}

/** `opened`, the last first, with one more in front of it. */
export function withOpened(opened, one, most = 20) {
  return [one, ...opened.filter(({ id }) => id !== one.id)].slice(0, most);
}
