// What the live view knows, from the events of `/live`; it never grows beyond its bounds.

export const MOST_ROWS = 200;
export const MOST_ROWS_AT_ONCE = 50;
export const MOST_SAMPLES = 120;

export const NOTHING = { at: null, agents: {}, edges: {}, rows: [], leftOff: 0, samples: [], problem: "" };

/** The state after one `snapshot` or `delta`. */
export function applied(state, { event, data }) {
  const isSnapshot = event === "snapshot";
  const agents = isSnapshot ? {} : { ...state.agents };
  for (const [id, told] of Object.entries(data.agents ?? {})) {
    agents[id] = { ...agents[id], ...told };
  }
  const edges = isSnapshot ? (data.edges ?? {}) : { ...state.edges, ...data.edges };
  return {
    at: data.at ?? state.at,
    agents,
    edges,
    problem: data.problem ?? "",
    rows: withRows(state.rows, data.rows ?? []),
    leftOff: isSnapshot ? 0 : state.leftOff + (data.left_off ?? 0),
    samples: withSample(state.samples, data.at, agents),
  };
}

/** The newest first; at most `MOST_ROWS_AT_ONCE` of what came and `MOST_ROWS` in all. */
export function withRows(rows, came) {
  if (!came.length) return rows;
  return [...came.slice(-MOST_ROWS_AT_ONCE).reverse(), ...rows].slice(0, MOST_ROWS);
}

/** One sample a second, the last two minutes: `{at, perS: {agent: rate}}`. */
function withSample(samples, at, agents) {
  const last = samples.at(-1);
  if (typeof at !== "number" || (last && at - last.at < 1 && at >= last.at)) return samples;
  const perS = Object.fromEntries(Object.entries(agents).map(([id, each]) => [id, each.per_s ?? 0]));
  return [...samples, { at, perS }].slice(-MOST_SAMPLES);
}

const LASTING = ["state", "running", "waiting", "in_hand", "oldest_s"];

/** An agent as it was read, with what is known of it by now, and what it does in `figures`. */
export function withLive(agent, told = {}) {
  const isTold = (name) => ![undefined, null, ""].includes(told[name]);
  const lately = Object.fromEntries(LASTING.filter(isTold).map((name) => [name, told[name]]));
  return { ...agent, ...lately, figures: told };
}

/** As many as were looked at may be more. */
export function atLeast(count, most) {
  return count < most ? String(count) : `${most - 1}+`;
}

/** Sums over all agents. */
export function totalsOf(agents) {
  const all = Object.values(agents);
  const sum = (name) => all.reduce((total, each) => total + (each[name] ?? 0), 0);
  const ages = all.map((each) => each.oldest_s).filter((age) => typeof age === "number");
  return {
    perS: sum("per_s"),
    failed: sum("failed"),
    dead: sum("dead"),
    waiting: sum("waiting"),
    inHand: sum("in_hand"),
    oldestS: ages.length ? Math.max(...ages) : null,
  };
}
