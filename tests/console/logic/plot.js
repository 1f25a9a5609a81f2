import { dotsOf, drawable, extentOf, logRangeOf, logTicksOf, nearestOf, pathsOf, placing, rangeOf, ticksOf } from "/logic/plot.js";
import { equal } from "./checks.js";

const same = (value) => value;

export function test_a_range_has_a_width_whatever_the_figures() {
  for (const [least, most] of [[1, 1], [0, 0], [-1e30, 1e30], [99999999.99999996, 100000000.00000004], [1e-300, 2e-300], [null, null]]) {
    const [low, high] = rangeOf(least, most);
    equal([high > low, high - low > Math.abs(high) * 1e-7, Number.isFinite(high - low)], [true, true, true]);
  }
  for (const [least, most] of [[1, 1], [1e-12, 1e12], [0.99e-3, 10], [null, null]]) {
    const [low, high] = logRangeOf(least, most);
    equal([low > 0, high > low * 1.1], [true, true]);
  }
}

export function test_what_cannot_be_drawn_is_a_gap() {
  equal(drawable([1, 1e308, -1e308, null, 0], false), [1, null, null, null, 0]);
  equal(drawable([1, 0, -1, 1e-320], true), [1, null, null, null]);
}

export function test_a_point_between_gaps_is_seen() {
  equal(pathsOf([1, 2, 3, 4, 5], [1, null, 2, null, 3], same, same), { line: "", alone: "M1 1h0M3 2h0M5 3h0" });
  equal(pathsOf([1, 2, 3, 4], [1, 2, null, 3], same, same), { line: "M1 1L2 2", alone: "M4 3h0" });
  equal(pathsOf([], [], same, same), { line: "", alone: "" });
}

export function test_what_holds_until_the_next_is_drawn_in_steps() {
  equal(pathsOf([1, 2, 3], [5, 5, 4], same, same, { isStepped: true }).line, "M1 5H2V5H3V4");
  equal(dotsOf([1, 2, 3], [5, null, 4], same, same), "M1 5h0M3 4h0");
}

export function test_ticks_are_round_and_not_many() {
  equal(ticksOf([0, 10], 5), [0, 2, 4, 6, 8, 10]);
  equal(ticksOf([0.07, 0.33], 4), [0.1, 0.2, 0.3]);
  equal(ticksOf([1, 3], 8, { isWhole: true }), [1, 2, 3]);
  equal(ticksOf([-1.5, 1.5], 3), [-1, 0, 1]);
  for (const range of [[1, 9e15], [-1e30, 1e30], [1e-320, 2e-320], [99999999, 99999999.00000001], [0, 0], [5, 5]]) {
    const ticks = ticksOf(range, 6);
    equal([ticks.length <= 8, ticks.every(Number.isFinite)], [true, true]);
  }
}

export function test_a_logarithmic_axis_has_powers_of_ten_or_what_lies_between_two() {
  equal(logTicksOf([0.5, 2000], 6), [1, 10, 100, 1000]);
  equal(logTicksOf([1e-12, 1e12], 5).length <= 6, true);
  equal(logTicksOf([2, 6], 4), [2, 3, 4, 5, 6]);
}

export function test_a_value_has_its_place_and_a_place_the_value_next_to_it() {
  equal([placing([0, 10], 100, 200)(5), placing([1, 100], 0, 10, true)(10)], [150, 5]);
  equal([nearestOf([1, 3, 9], 5.5), nearestOf([1, 3, 9], 7), nearestOf([1], 99), nearestOf([], 1)], [1, 2, 0, 0]);
  equal(extentOf([[3, null, 1], [], [7]]), [1, 7]);
  equal(extentOf([[null]]), [null, null]);
}
