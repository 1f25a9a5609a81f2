import { applied, atLeast, MOST_ROWS, MOST_SAMPLES, NOTHING, totalsOf, withLive, withRows } from "/logic/live_state.js";
import { equal } from "./checks.js";

const delta = (data) => ({ event: "delta", data });
const snapshot = (data) => ({ event: "snapshot", data });

export function test_a_delta_changes_what_it_names_and_leaves_the_rest() {
  let state = applied(NOTHING, snapshot({ at: 1, agents: { a: { per_s: 1, waiting: 2 }, b: { per_s: 3 } } }));
  state = applied(state, delta({ at: 2, agents: { a: { per_s: 5 } } }));
  equal(state.agents, { a: { per_s: 5, waiting: 2 }, b: { per_s: 3 } });
}

export function test_a_snapshot_forgets_agents_that_are_gone() {
  const state = applied(NOTHING, snapshot({ at: 1, agents: { old: {} } }));
  equal(Object.keys(applied(state, snapshot({ at: 2, agents: { young: {} } })).agents), ["young"]);
}

export function test_a_week_of_deltas_leaves_no_more_than_a_minute_of_them() {
  let state = applied(NOTHING, snapshot({ at: 0, agents: {} }));
  const rows = Array.from({ length: 400 }, (_, id) => ({ id }));
  for (let turn = 1; turn <= 5000; turn++) state = applied(state, delta({ at: turn, agents: { a: { per_s: turn } }, rows, left_off: 1 }));
  equal([state.rows.length, state.samples.length, state.leftOff], [MOST_ROWS, MOST_SAMPLES, 5000]);
  equal(state.samples.at(-1).perS, { a: 5000 });
}

export function test_the_newest_rows_come_first_and_fifty_of_a_flood_are_taken() {
  equal(withRows([1], [2, 3]), [3, 2, 1]);
  const flood = Array.from({ length: 1000 }, (_, id) => id);
  equal([withRows([], flood).length, withRows([], flood)[0]], [50, 999]);
}

export function test_the_oldest_of_all_agents_is_told() {
  const { perS, oldestS, waiting } = totalsOf({ a: { per_s: 1, oldest_s: 2 }, b: { per_s: 2, oldest_s: null, waiting: 4 } });
  equal([perS, oldestS, waiting], [3, 2, 4]);
  equal(totalsOf({}).oldestS, null);
}

export function test_what_is_not_known_yet_hides_nothing_that_was_read() {
  const read = { agent: "a", state: "paused", waiting: 3, oldest_s: 2 };
  equal(withLive(read, { state: "", waiting: null, oldest_s: 0, per_s: 1 }), { ...read, oldest_s: 0, figures: { state: "", waiting: null, oldest_s: 0, per_s: 1 } });
  equal(withLive(read, undefined), { ...read, figures: {} });
}

export function test_what_was_not_counted_to_its_end_is_at_least_so_many() {
  equal([atLeast(0, 100), atLeast(99, 100), atLeast(100, 100)], ["0", "99", "99+"]);
}
