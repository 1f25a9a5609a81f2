import { isSame, numberOf, parse, parseAnswer, render } from "/logic/json.js";
import { equal, throws } from "./checks.js";

export function test_a_number_leaves_as_it_came() {
  const text = '{"big":1152921504606846977,"float":1.0,"huge":1e400,"small":-0.5,"list":[0,-0,1E5]}';
  equal(render(parse(text)), text);
}

export function test_what_turns_text_round_or_is_not_seen_is_escaped_and_means_the_same() {
  const text = render({ a: "x\u202ey", "\u2066k": "\u200b\u0007" });
  equal(text, '{"a":"x\\u202ey","\\u2066k":"\\u200b\\u0007"}');
  equal(JSON.parse(text), { a: "x\u202ey", "\u2066k": "\u200b\u0007" });
}

export function test_what_is_left_out_is_not_written() {
  equal(render({ a: undefined, b: [undefined], c: {} }), '{"b":[null],"c":{}}');
}

export function test_an_indented_text_is_what_others_write() {
  const value = { a: [1, { b: [] }], c: {}, d: "é\n" };
  equal(render(value, 2), JSON.stringify(value, null, 2));
}

export function test_only_numbers_of_json_are_numbers() {
  const told = ["1", "-2.50", "1e3", "0x10", "1_0", "Infinity", "", "01", "+1", "9007199254740993"];
  equal(told.map((text) => String(numberOf(text))), ["1", "-2.50", "1e3", "undefined", "undefined",
    "undefined", "undefined", "undefined", "undefined", "9007199254740993"]);
  equal(numberOf("1.5", { whole: true }), undefined);
}

export function test_equal_values_are_the_same_and_null_is_not_nought() {
  equal([isSame({ a: 1 }, { a: 1 }), isSame(parse("1.0"), 1), isSame(null, 0)], [true, false, false]);
  throws(() => parse("{a:1}"));
}

export function test_the_figures_of_an_answer_are_numbers_and_those_of_messages_are_kept() {
  const answer = parseAnswer('{"at":5.0,"rows":[{"per_s":0.0,"data":{"n":1.0,"big":1152921504606846977}}]}');
  equal([answer.at + 1, answer.rows[0].per_s + 1, render(answer.rows[0].data)], [6, 1, '{"n":1.0,"big":1152921504606846977}']);
}

export function test_a_browser_that_does_not_tell_how_a_number_was_written_changes_none() {
  const text = '{"a":1152921504606846977,"b":[1.0,-1e400,0.5],"c":"1.0 and \\"2.0\\"","1.0":2}';
  equal(render(parse(text, false)), text);
  equal(render(parse(text, true)), text);
  throws(() => parse("[1.0, 01]", false));
}
