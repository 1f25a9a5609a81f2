import { figureOf, gainOf, meanOf } from "/logic/format.js";
import { equal } from "./checks.js";

export function test_four_digits_count() {
  equal([0.992144, 1, 0, 123456.7, 0.00042, -0.5, 1e-7, 3.2e9].map(figureOf), ["0.9921", "1", "0", "123\u202f457", "4.2e-4", "-0.5", "1e-7", "3.2e9"]);
  equal([null, undefined, NaN, Infinity, "7"].map(figureOf), ["–", "–", "–", "–", "–"]);
}

export function test_a_mean_is_told_with_its_error_and_a_gain_with_its_sign() {
  equal(meanOf({ mean: 0.992144, error: 0.0024538 }), "0.9921 ± 0.0025");
  equal(meanOf({ mean: 0.5, error: null }), "0.5");
  equal(meanOf({}), "–");
  equal([0.01, -0.01, 0, null].map(gainOf), ["+0.01", "−0.01", "±0", "–"]);
}
