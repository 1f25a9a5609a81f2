import { chartsOf, MOST_CURVES, MOST_POINTS, nothing, pointsOf, some, strokeOf, summaryOf, withRecords } from "/logic/curves.js";
import { equal } from "./checks.js";

const told = (records) => withRecords(nothing(), records);
const points = (records, name) => pointsOf(told(records).curves.get(name));

export function test_records_become_curves_over_the_step_else_the_epoch_else_the_number() {
  equal(points([{ step: 5, epoch: 1, loss: 3 }, { step: 9, loss: 2 }], "loss"), [[5, 9], [3, 2]]);
  equal(points([{ epoch: 4, loss: 3 }], "loss"), [[4], [3]]);
  equal(points([{ loss: 3 }, {}, { loss: 2 }], "loss"), [[1, 3], [3, 2]]);
}

export function test_what_was_no_number_is_a_gap_and_what_was_not_measured_is_none() {
  const records = [{ step: 1, loss: 3, val_loss: 4 }, { step: 2, loss: null }, { step: 3, loss: 1, val_loss: 2 }];
  equal(points(records, "loss"), [[1, 2, 3], [3, null, 1]]);
  equal(points(records, "val_loss"), [[1, 3], [4, 2]]);
  const summary = summaryOf(told(records).curves.get("loss"));
  equal([summary.gaps, summary.isBroken, summary.last.y, summary.least.x], [1, false, 1, 3]);
}

export function test_a_figure_that_never_was_a_number_is_no_curve() {
  equal([...told([{ step: 1, loss: null }]).curves.keys()], []);
}

export function test_a_training_that_goes_back_tells_the_better_truth() {
  equal(points([{ step: 1, loss: 3 }, { step: 2, loss: 9 }, { step: 3, loss: 8 }, { step: 2, loss: 2 }], "loss"), [[1, 2], [3, 2]]);
}

export function test_a_page_left_open_for_a_week_does_not_grow() {
  let all = nothing();
  for (let second = 0; second < 7 * 24 * 3600; second += 600) {
    all = withRecords(all, Array.from({ length: 600 }, (_, index) => ({ step: second + index, loss: second + index })));
  }
  const [xs, ys] = pointsOf(all.curves.get("loss"));
  equal(xs.length <= MOST_POINTS, true);
  equal(xs.length >= MOST_POINTS / 2, true);
  equal([xs.at(-1), ys.at(-1), xs[0]], [604_799, 604_799, 0]); // the last is there, and the first
  const widths = new Set(xs.slice(1, -1).map((x, index) => x - xs[index]));
  equal(widths.size, 1); // evenly
}

export function test_extremes_are_those_of_points_too_that_are_not_kept() {
  const all = told(Array.from({ length: 20_000 }, (_, step) => ({ step, loss: step === 777 ? 0.1 : step === 778 ? 9 : 1 })));
  const { least, most } = summaryOf(all.curves.get("loss"));
  equal([least, most], [{ x: 777, y: 0.1 }, { x: 778, y: 9 }]);
}

export function test_what_was_said_of_steps_that_are_done_again_counts_no_more() {
  const all = told([{ step: 1, loss: 3 }, { step: 2, loss: 0.1 }, { step: 2, loss: 2 }]);
  equal(summaryOf(all.curves.get("loss")).least, { x: 2, y: 2 });
}

export function test_a_step_that_makes_no_sense_is_none() {
  equal(points([{ step: 1e300, loss: 3 }, { step: null, loss: 2 }, { step: "x", epoch: 7, loss: 1 }], "loss"), [[1, 2, 7], [3, 2, 1]]);
}

export function test_names_without_end_make_no_curves_without_end() {
  const record = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`figure ${index}`, 1]));
  const all = told([{ step: 1, ...record }]);
  equal([all.curves.size, all.leftOff.size], [MOST_CURVES, 1000]);
}

export function test_a_name_like_one_of_the_language_is_a_figure_as_any() {
  const record = JSON.parse('{"step": 1, "__proto__": 2, "constructor": 3}');
  equal([...told([record]).curves.keys()], ["__proto__", "constructor"]);
}

export function test_losses_come_first_and_what_is_said_of_the_machine_last() {
  const names = ["samples_per_s", "lr", "val_accuracy", "train_loss", "val_loss", "loss", "perplexity"];
  equal(chartsOf(names).map(({ title }) => title), ["loss", "perplexity", "accuracy", "lr", "samples_per_s"]);
  equal(chartsOf(names)[0].names, ["loss", "train_loss", "val_loss"]);
}

export function test_curves_of_one_chart_are_told_apart_without_colour() {
  const names = ["loss", "train_loss", "val_loss"];
  equal(names.map((name) => strokeOf(name, names)), ["faint", "dashed", "plain"]);
  equal(strokeOf("train_loss", ["train_loss"]), "plain");
}

export function test_some_of_many_are_even_with_the_first_and_the_last() {
  equal(some([0, 1, 2, 3, 4, 5, 6], 3), [0, 3, 6]);
  equal(some([0, 1], 3), [0, 1]);
}
