import { moved, parentOf, seenOf } from "/logic/branches.js";
import { equal } from "./checks.js";

const TREE = [["a", 0], ["b", 1], ["c", 2], ["d", 1], ["e", 0]].map(([trial, depth]) => ({ trial, depth }));
const names = (closed) => seenOf(TREE, new Set(closed)).map(({ trial }) => trial);

export function test_what_is_closed_hides_all_below_it() {
  equal(names([]), ["a", "b", "c", "d", "e"]);
  equal(names(["a"]), ["a", "e"]);
  equal(names(["b"]), ["a", "b", "d", "e"]);
  equal(names(["c", "e"]), ["a", "b", "c", "d", "e"]); // leaves hide nothing
}

export function test_the_arrows_walk_open_and_close() {
  const rows = seenOf(TREE, new Set(["b"]));
  equal(moved("ArrowDown", rows, 0), { to: 1 });
  equal(moved("ArrowUp", rows, 0), null);
  equal(moved("ArrowDown", rows, 3), null);
  equal(moved("ArrowRight", rows, 1), { open: true });
  equal(moved("ArrowRight", rows, 0), { to: 1 });
  equal(moved("ArrowRight", rows, 3), null);
  equal(moved("ArrowLeft", rows, 0), { close: true });
  equal(moved("ArrowLeft", rows, 2), { to: 0 }); // to where it hangs
  equal(moved("ArrowLeft", rows, 3), null);
  equal([moved("Home", rows, 2), moved("End", rows, 0), moved("x", rows, 0)], [{ to: 0 }, { to: 3 }, null]);
}

export function test_a_branch_hangs_on_the_nearest_above_that_is_less_deep() {
  equal(TREE.map((_branch, index) => parentOf(TREE, index)), [-1, 0, 1, 0, -1]);
}
