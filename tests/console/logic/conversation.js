import { sequenceOf, timelineOf, treeOf } from "/logic/conversation.js";
import { bestLayout, bundled, layOut, LEAST_SCALE, pathOf } from "/logic/graph_layout.js";
import * as dagre from "/vendor/dagre.js";
import { recentOf } from "/logic/conversation.js";
import { secondsOf, rateOf, timeOf, shortId } from "/logic/format.js";
import { stepsOf } from "/logic/conversation.js";
import { equal } from "./checks.js";

const STEPS = stepsOf({
  steps: [
    { id: "a", cause: "", sender: "", topic: "orders", type: "t", at: "2030-01-01T00:00:00Z", agents: [{ agent: "x", waited_s: 1, handled_s: 2 }] },
    { id: "b", cause: "a", sender: "x", topic: "till", type: "t", at: "2030-01-01T00:00:03Z", agents: [{ agent: "y", waited_s: 0, handled_s: 1 }, { agent: "z" }] },
    { id: "c", cause: "gone", sender: "y", topic: "_replies.1", type: "t", at: null },
    { id: "d", cause: "b", sender: "y", topic: "empty", type: "t", at: 1893456004 },
  ],
});

export function test_a_sequence_has_a_lane_for_each_who_takes_part() {
  const { lanes, arrows } = sequenceOf(STEPS);
  equal(lanes, ["outside", "x", "y", "z", "empty"]);
  equal(arrows.map(({ from, to }) => [from, to]), [[0, [1]], [1, [2, 3]], [2, [0]], [2, [4]]]);
}

export function test_a_timeline_runs_from_the_first_message_to_the_last_end() {
  const { lengthS, bars } = timelineOf(STEPS);
  equal([lengthS, bars.map((bar) => [bar.agent, bar.fromS, bar.waitedS, bar.handledS])], [4, [["x", 0, 1, 2], ["y", 3, 0, 1], ["z", 3, 0, 0], ["empty", 4, 0, 0]]]);
  equal(timelineOf(stepsOf({ steps: [{ id: "a", at: null }] })), { lengthS: 0, bars: [] });
}

export function test_a_conversation_of_late_is_told_by_its_last_handling_or_by_what_was_given_up() {
  const row = (conversation, at, outcome) => ({ id: `${conversation}${at}`, conversation, at, outcome });
  const rows = [row("a", 4, "ignored"), row("b", 5, "handled"), row("a", 3, "dead_lettered"), row("b", 1, "retried"), row("c", 2, "retried")];
  equal(recentOf(rows).map(({ conversation, at, outcome }) => [conversation, at, outcome]), [
    ["b", 5, "handled"],
    ["a", 4, "dead_lettered"],
    ["c", 2, "retried"],
  ]);
  equal(timeOf(null), "–");
}

const shape = (nodes) => nodes.map(({ step, children }) => [step.id, shape(children)]);

export function test_a_tree_follows_causes_and_a_lost_cause_makes_a_root() {
  equal(shape(treeOf(STEPS)), [["a", [["b", [["d", []]]]]], ["c", []]]);
}

export function test_causes_in_a_circle_lose_no_step_and_end() {
  const steps = stepsOf({ steps: [{ id: "a", cause: "b" }, { id: "b", cause: "a" }, { id: "c", cause: "c" }, { id: "d", cause: "a" }] });
  const found = shape(treeOf(steps)).flat(9).filter((each) => typeof each === "string").sort();
  equal(found, ["a", "b", "c", "d"]);
}

export function test_messages_between_the_same_two_share_an_arrow_and_answers_have_their_own() {
  const edge = (source, target, message, kind = "send") => ({ source, target, message, kind });
  const edges = [edge("a", "b", "x"), edge("a", "b", "y"), edge("b", "a", "z", "reply"), edge("a", "b", "x", "route")];
  equal(bundled(edges).map(({ source, messages, isReply, label }) => [source, messages, isReply, label]), [
    ["a", ["x", "y"], false, "x +1"],
    ["b", ["z"], true, "z"],
  ]);
  equal(pathOf([{ x: 0, y: 0 }, { x: 10, y: 0 }]), "M0 0L10 0");
}

export function test_what_an_agent_sends_to_itself_is_a_loop_above_it() {
  const graph = { nodes: [{ id: "a" }, { id: "b" }], edges: [{ source: "a", target: "a", message: "x", kind: "send" }] };
  const { nodes, edges } = layOut(graph, dagre, "LR");
  const [{ y, height }] = nodes;
  const [, , startY, , peak] = edges[0].loop.split(/[ MC]/).map(Number);
  equal([edges.length, startY, peak < startY], [1, y - height / 2, true]);
}

export function test_who_asks_stands_before_who_is_asked_and_answers_point_back() {
  const graph = {
    nodes: [{ id: "a" }, { id: "b" }],
    edges: [
      { source: "outside", target: "a", message: "x", kind: "request" },
      { source: "a", target: "outside", message: "y", kind: "reply" },
      { source: "a", target: "b", message: "z", kind: "send" },
    ],
  };
  const { nodes, edges } = layOut(graph, dagre, "LR");
  const x = Object.fromEntries(nodes.map((node) => [node.id, node.x]));
  equal([x.outside < x.a, x.a < x.b], [true, true]);
  const answer = edges.find((edge) => edge.isReply);
  equal(answer.points[0].x > answer.points.at(-1).x, true);
}

export function test_a_graph_is_laid_out_as_large_as_the_place_allows() {
  const ids = ["a", "b", "c", "d", "e"];
  const edges = ids.slice(1).map((id, index) => ({ source: ids[index], target: id, message: "x", kind: "send" }));
  const graph = { nodes: ids.map((id) => ({ id })), edges };
  const [wide, tall] = [bestLayout(graph, dagre, 1600, 400), bestLayout(graph, dagre, 400, 1600)];
  equal([wide.width > wide.height, tall.width < tall.height], [true, true]);
}

export function test_agents_that_all_tell_each_other_are_drawn_in_rows_that_fit() {
  const ids = Array.from({ length: 60 }, (_, index) => `worker-${index}`);
  const edges = ids.flatMap((source) => ids.map((target) => ({ source, target, message: "x", kind: "send" })));
  const { nodes, edges: arrows, areMany, width, height } = bestLayout({ nodes: ids.map((id) => ({ id })), edges }, dagre, 1000, 600);
  const meets = (one, other) => one !== other && Math.abs(one.x - other.x) < one.width && Math.abs(one.y - other.y) < one.height;
  const isIn = ({ x, y, ...size }) => x >= size.width / 2 && y >= size.height / 2 && x <= width - size.width / 2 && y <= height - size.height / 2;
  equal([nodes.length, arrows.length, areMany, width * LEAST_SCALE <= 1000], [60, 3600, true, true]);
  equal(nodes.filter((node) => !isIn(node) || nodes.some((other) => meets(node, other))), []);
  const [from, to] = [nodes[0], nodes[1]];
  const { points } = arrows.find(({ source, target }) => source === from.id && target === to.id);
  equal(points.map(({ x }) => x), [from.x + from.width / 2, to.x - to.width / 2]);
}

export function test_figures_are_short_and_right_at_their_borders() {
  equal([null, 0, 0.0005, 0.0123, 0.9994, 0.9996, 1, 59.4, 60, 3599, 86400].map(secondsOf),
    ["–", "0 µs", "500 µs", "12 ms", "999 ms", "1000 ms", "1 s", "59 s", "1 min 0 s", "59 min 59 s", "1 d 0 h"]);
  equal([0, 0.04, 0.5, 3, 33.3, 1234].map(rateOf), ["0", "0.04", "0.50", "3.0", "33", "1\u202f234"]);
  equal(timeOf("nonsense"), "–");
  equal(shortId("01a22d2ef1ed75a2b71ee0e05d96a9b0"), "01a2…96a9b0");
}

export function test_in_a_dense_graph_a_question_and_its_answer_are_one_arrow() {
  const ids = ["a", "b", "c", "d", "e", "f", "g"];
  const edges = ids.slice(1).flatMap((id) => [
    { source: "a", target: id, message: "x", kind: "send" },
    { source: id, target: "a", message: "y", kind: "reply" },
  ]);
  const laid = layOut({ nodes: ids.map((id) => ({ id })), edges: [...edges, { source: "b", target: "c", message: "z", kind: "reply" }] }, dagre);
  equal([laid.isDense, laid.edges.length, laid.edges[0].answers, laid.edges.at(-1).isReply], [true, 7, ["y"], true]);
}
