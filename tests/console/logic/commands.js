import { chatsOf, requestOf, textOf } from "/logic/chat.js";
import { cliOf, curlOf, quoted } from "/logic/commands.js";
import { parse } from "/logic/json.js";
import { href, routeOf } from "/state/route.js";
import { equal } from "./checks.js";

export function test_a_shell_reads_back_what_was_quoted() {
  equal(["plain", "a b", "it's", "$HOME`x`", ""].map(quoted), ["plain", "'a b'", "'it'\\''s'", "'$HOME`x`'", "''"]);
}

export function test_fields_are_words_of_the_command_line() {
  const data = parse('{"name":"Ada L","count":3,"big":1152921504606846977,"tags":["a"]}');
  equal(cliOf("publish", "shop.yaml", "t", data, { topic: "a.b", delay_s: 2, timeout_s: 9 }),
    "guildbus publish shop.yaml t 'name=Ada L' count:=3 big:=1152921504606846977 'tags:=[\"a\"]' --topic a.b --delay 2");
}

export function test_what_no_word_can_say_is_one_json_text() {
  equal(cliOf("request", "S", "t", { "a b": "x" }, {}), `guildbus request S t '{"a b":"x"}'`);
  equal(cliOf("request", "S", "t", {}, { timeout_s: 9 }), "guildbus request S t '{}' --timeout 9");
  equal(cliOf("request", "S", "t", { a: "x\u202e" }, {}), `guildbus request S t '{"a":"x\\u202e"}'`);
}

export function test_curl_names_the_variable_and_no_token() {
  const text = curlOf("http://h/api/v1/topics/a%20b/messages", { type: "t", data: { a: "it's" } }, { hasToken: true });
  equal(text, `curl -sS -X POST http://h/api/v1/topics/a%20b/messages \\
  -H "Authorization: Bearer $GUILDBUS_TOKEN" \\
  -H 'Content-Type: application/json' \\
  --data '{"type":"t","data":{"a":"it'\\''s"}}'`);
}

export function test_an_address_means_what_it_was_made_from() {
  const odd = "a/b?c#d %é";
  equal(routeOf(href(["messages", odd], { topic: odd, type: "", n: 3 })), { view: "messages", rest: [odd], query: { topic: odd, n: "3" } });
  equal(routeOf(""), { view: "", rest: [], query: {} });
  equal(routeOf("#/x/%E0%A4%A"), { view: "x", rest: ["%E0%A4%A"], query: {} });
}

const text = { type: "object", properties: { text: { type: "string" } }, required: ["text"] };
const dialogue = {
  $defs: { M: { type: "object", properties: { role: {}, content: {} } } },
  type: "object", properties: { messages: { type: "array", items: { $ref: "#/$defs/M" } }, tools: { type: "array", items: {} } }, required: ["messages"],
};

export function test_one_can_chat_with_what_emits_text_and_takes_a_text_or_a_dialogue() {
  const types = [
    { type: "a", emits: ["guild.text"], json_schema: text },
    { type: "b", emits: [], json_schema: text },
    { type: "c", emits: ["guild.text@2"], json_schema: dialogue },
    { type: "d", emits: ["guild.text"], json_schema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] } },
  ];
  equal(chatsOf(types).map(({ type, field }) => [type, field.name, field.isDialogue]), [["c", "messages", true], ["a", "text", false]]);
}

export function test_a_dialogue_is_told_as_a_whole_and_without_what_failed() {
  const turns = [{ role: "user", text: "hi" }, { role: "assistant", text: "yes?" }, { role: "user", text: "x" }, { role: "assistant", text: "", problem: {} }];
  equal(requestOf({ name: "messages", isDialogue: true }, turns, "so").messages.map(({ content }) => content), ["hi", "yes?", "x", "so"]);
  equal(requestOf({ name: "text" }, turns, "so"), { text: "so" });
  equal(textOf({ data: { generated_response: "so it is" } }, "so"), " it is");
}
