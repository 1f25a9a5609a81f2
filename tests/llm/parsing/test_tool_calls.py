import json
from typing import Any

import pytest

from agents.llm.parsing import FORMATS, OutputParser, Text, ToolCall, ToolFormat, parse

TOOLS = {
    "search": {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    },
    "now": {},
    "kinds": {
        "properties": {
            "text": {"type": "string"},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "maybe_text": {"type": ["string", "null"]},
            "both": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "flag": {"type": "string"},
            "list": {"type": "string"},
        }
    },
}
ONE = {"name": "search", "arguments": {"query": "a, b", "limit": 10}}
SEARCH = ("search", {"query": "a, b", "limit": 10})
Expected = tuple[str, list[tuple[str, dict[str, Any]]], str]


def called(output: str, **options: Any) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    parsed = parse(output, **{"tools": TOOLS} | options)
    assert parsed.problems == ()
    return [(call.name, call.arguments) for call in parsed.tool_calls], parsed.text


JSON: dict[str, Expected] = {
    "alone": (json.dumps({"tool_calls": [ONE]}), [SEARCH], ""),
    "indented": (json.dumps({"tool_calls": [ONE]}, indent=2), [SEARCH], ""),
    "in prose": (f"Sure.\n{json.dumps({'tool_calls': [ONE]})}\nDone.", [SEARCH], "Sure.\nDone."),
    "in a block": (f"```json\n{json.dumps({'tool_calls': [ONE]})}\n```", [SEARCH], ""),
    "in a block in prose": (
        f"Look:\n```\n{json.dumps({'tool_calls': [ONE]})}\n```\nDone.",
        [SEARCH],
        "Look:\nDone.",
    ),
    "OpenAI's shape": (
        json.dumps(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "search", "arguments": json.dumps(SEARCH[1])},
                    }
                ],
            }
        ),
        [SEARCH],
        "",
    ),
    "two": (json.dumps({"tool_calls": [ONE, {"name": "now"}]}), [SEARCH, ("now", {})], ""),
    "none": ('{"tool_calls": []} hello', [], "hello"),
    "no arguments": ('{"tool_calls": [{"name": "now", "arguments": ""}]}', [("now", {})], ""),
    "null arguments": ('{"tool_calls": [{"name": "now", "arguments": null}]}', [("now", {})], ""),
    "Python's quotes": (
        "{'tool_calls': [{'name': 'search', 'arguments': {'query': 'it\\'s', 'limit': None}}]}",
        [("search", {"query": "it's", "limit": None})],
        "",
    ),
    "a comma too many": ('{"tool_calls": [{"name": "now", },]}', [("now", {})], ""),
    "braces in a text": (
        '{"tool_calls": [{"name": "search", "arguments": {"query": "}]} ```"}}]}',
        [("search", {"query": "}]} ```"})],
        "",
    ),
    "a line break in a text": (
        '{"tool_calls": [{"name": "search", "arguments": {"query": "a\nb"}}]}',
        [("search", {"query": "a\nb"})],
        "",
    ),
    "escapes": (
        (
            r'{"tool_calls": [{"name": "search", "arguments": '
            r'{"query": "\u00e9\ud83c\udf89\/\d\n\UFFFFFFFF\u12"}}]}'
        ),
        [("search", {"query": "é🎉/\\d\n\\UFFFFFFFF\\u12"})],
        "",
    ),
    "half of a surrogate pair": (
        r'{"tool_calls": [{"name": "search", "arguments": {"query": "\ud83c"}}]}',
        [("search", {"query": "\ufffd"})],
        "",
    ),
    "a name that is not known": ('{"tool_calls": [{"name": "sarch"}]}', [("sarch", {})], ""),
    "a call of a known tool alone": (json.dumps(ONE), [SEARCH], ""),
    "Llama's names": (
        '{"name": "search", "parameters": {"query": "x"}}',
        [("search", {"query": "x"})],
        "",
    ),
    "a known tool in a block": (f"```json\n{json.dumps(ONE)}\n```", [SEARCH], ""),
    "two known tools in a block": (
        f"```json\n{json.dumps(ONE)}\n{json.dumps(ONE)}\n```",
        [SEARCH, SEARCH],
        "",
    ),
    "a list of known tools": (f"[{json.dumps(ONE)}, {json.dumps(ONE)}] ok", [SEARCH, SEARCH], "ok"),
    "a list in a block": (f"```json\n[{json.dumps(ONE)}]\n```", [SEARCH], ""),
    "the function's part under its name": (
        json.dumps({"type": "function", "function": ONE}),
        [SEARCH],
        "",
    ),
}
JSON_TEXT = {
    "data": '{"name": "Ada", "age": 36}',
    "data with arguments of an unknown name": '{"name": "Ada", "arguments": {"x": 1}}',
    "data of a tool's name": '{"name": "search", "arguments": {}, "price": 3}',
    "other data": '{"city": "Paris", "tags": ["a", {"b": 1}]}',
    "data in a block": '```json\n{"city": "Paris"}\n```\nbye',
    "nothing in a block": "```json\n```\nbye",
    "a call quoted in a program": '```python\nx = {"tool_calls": [{"name": "now"}]}\n```',
    "a call in inline code": '`{"tool_calls": [{"name": "now"}]}` is a call',
    "a block that goes on": '```json\n{"tool_calls": [{"name": "now"}]}\n# like this\n```\n',
    "mathematics": "the set {1, 2} and {x | x > 1} and {{ x }}",
    "a call in data": json.dumps({"answer": "x", "tool_calls": [ONE]}),
    "other notations in data": json.dumps({"a": "<think> TOOL_CALL: now() ```", "b": [ONE]}),
    "a list of data": json.dumps([{"name": "Ada"}, ONE]),
    "a list of numbers": "[1, 2] and [a](b)",
    "no calls": '{"tool_calls": null, "content": "hi"}',
    "a role": '{"role": "king", "content": "crown"}',
}
TEXT: dict[str, Expected] = {
    "quoted": (
        'TOOL_CALL: search(query="a, b", limit=10, tags=[1, 2])',
        [("search", {"query": "a, b", "limit": 10, "tags": [1, 2]})],
        "",
    ),
    "unquoted": (
        "TOOL_CALL: search(query=example, limit=10)",
        [("search", {"query": "example", "limit": 10})],
        "",
    ),
    "no arguments": ("TOOL_CALL: now()", [("now", {})], ""),
    "no space": ("TOOL_CALL:now( )", [("now", {})], ""),
    "in prose": ("I look: TOOL_CALL: now() Wait.", [("now", {})], "I look: Wait."),
    "two lines": ("TOOL_CALL: now()\nTOOL_CALL: now()", [("now", {}), ("now", {})], ""),
    "in a block": ("```\nTOOL_CALL: now()\n```", [("now", {})], ""),
    "several lines": (
        'TOOL_CALL: search(\n  query="a",\n  limit=3,\n)',
        [("search", {"query": "a", "limit": 3})],
        "",
    ),
    "single quotes": ("TOOL_CALL: f(a='x, \"y\"')", [("f", {"a": 'x, "y"'})], ""),
    "three quotes": ('TOOL_CALL: f(a="""x\n"y" """, b=1)', [("f", {"a": 'x\n"y" ', "b": 1})], ""),
    "escaped quotes": (r'TOOL_CALL: f(a="say \"hi\", ok")', [("f", {"a": 'say "hi", ok'})], ""),
    "an empty text": ("TOOL_CALL: f(a='', b=\"\")", [("f", {"a": "", "b": ""})], ""),
    "a bracket in quotes": ("TOOL_CALL: f(a=')', b='(')", [("f", {"a": ")", "b": "("})], ""),
    "Python's constants": (
        "TOOL_CALL: f(a=True, b=False, c=None)",
        [("f", {"a": True, "b": False, "c": None})],
        "",
    ),
    "JSON's constants": (
        "TOOL_CALL: f(a=true, b=false, c=null)",
        [("f", {"a": True, "b": False, "c": None})],
        "",
    ),
    "numbers": (
        "TOOL_CALL: f(a=-1, b=+2.5, c=1e3, d=.5, e=1_000, g=0)",
        [("f", {"a": -1, "b": 2.5, "c": 1000.0, "d": 0.5, "e": 1000, "g": 0})],
        "",
    ),
    "what is no number": (
        "TOOL_CALL: f(a=1.2.3, b=007, c=1e999, d=-, e=10%, g=nan)",
        [("f", {"a": "1.2.3", "b": "007", "c": "1e999", "d": "-", "e": "10%", "g": "nan"})],
        "",
    ),
    "a huge number": (f"TOOL_CALL: f(a={'9' * 5000})", [("f", {"a": "9" * 5000})], ""),
    "containers": (
        "TOOL_CALL: f(a={'x': [1, (2, 3)]}, b=[], c={})",
        [("f", {"a": {"x": [1, [2, 3]]}, "b": [], "c": {}})],
        "",
    ),
    "brackets that do not match": (
        "TOOL_CALL: f(a=g(x]), b=1)",
        [("f", {"a": "g(x])", "b": 1})],
        "",
    ),
    "a call in an argument": (
        "TOOL_CALL: f(a=g(1, h(2)), b=3)",
        [("f", {"a": "g(1, h(2))", "b": 3})],
        "",
    ),
    "words without quotes": (
        "TOOL_CALL: search(query=what's up in Paris?, limit=1)",
        [("search", {"query": "what's up in Paris?", "limit": 1})],
        "",
    ),
    "commas without quotes": (
        "TOOL_CALL: search(query=Paris, France, limit=1)",
        [("search", {"query": "Paris, France", "limit": 1})],
        "",
    ),
    "an address without quotes": (
        "TOOL_CALL: get(url=https://a.b/c?d=e&f=g)",
        [("get", {"url": "https://a.b/c?d=e&f=g"})],
        "",
    ),
    "a number for a text": ("TOOL_CALL: search(query=10)", [("search", {"query": "10"})], ""),
    "unicode": (
        "TOOL_CALL: suche(größe='今🎉', ort=Zürich)",
        [("suche", {"größe": "今🎉", "ort": "Zürich"})],
        "",
    ),
    "colons": ('TOOL_CALL: f(a: 1, b: "x")', [("f", {"a": 1, "b": "x"})], ""),
    "one object": ('TOOL_CALL: f({"a": 1})', [("f", {"a": 1})], ""),
    "JSON after the mark": (
        'TOOL_CALL: {"name": "f", "arguments": {"a": 1}}',
        [("f", {"a": 1})],
        "",
    ),
    "a dotted name": ("TOOL_CALL: web.search-2(a=1)", [("web.search-2", {"a": 1})], ""),
}
OTHERS: dict[str, Expected] = {
    "hermes": (f"<tool_call>\n{json.dumps(ONE)}\n</tool_call>", [SEARCH], ""),
    "hermes after text": (
        f"Sure. <tool_call>{json.dumps(ONE)}</tool_call>\nOk",
        [SEARCH],
        "Sure.\nOk",
    ),
    "hermes twice": (
        f'<tool_call>{json.dumps(ONE)}</tool_call>\n<tool_call>{{"name": "now"}}</tool_call>',
        [SEARCH, ("now", {})],
        "",
    ),
    "hermes without an end": (f"<tool_call>{json.dumps(ONE)}", [SEARCH], ""),
    "hermes without an end between": (
        f"<tool_call>{json.dumps(ONE)}\n<tool_call>{json.dumps(ONE)}",
        [SEARCH, SEARCH],
        "",
    ),
    "hermes with two in one": (
        f"<tool_call>{json.dumps(ONE)}\n{json.dumps(ONE)}</tool_call>",
        [SEARCH, SEARCH],
        "",
    ),
    "hermes with its tag in a text": (
        '<tool_call>{"name": "f", "arguments": {"a": "</tool_call><tool_call>"}}</tool_call>',
        [("f", {"a": "</tool_call><tool_call>"})],
        "",
    ),
    "hermes with braces that don't match in a text": (
        '<tool_call>{"name": "f", "arguments": {"a": "mkdir test/{test1,test2"}}</tool_call>',
        [("f", {"a": "mkdir test/{test1,test2"})],
        "",
    ),
    "hermes in a block": (f"```xml\n<tool_call>{json.dumps(ONE)}</tool_call>\n```\n", [SEARCH], ""),
    "coder": (
        (
            "before<tool_call>\n<function=get>\n<parameter=city>\nParis\n</parameter>\n"
            "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>after"
        ),
        [("get", {"city": "Paris", "days": 3})],
        "beforeafter",
    ),
    "coder without the outer tag": (
        "<function=get><parameter=city>Paris</parameter></function>",
        [("get", {"city": "Paris"})],
        "",
    ),
    "coder without parameters": (
        "<tool_call><function=now></function></tool_call>",
        [("now", {})],
        "",
    ),
    "coder with several lines": (
        "<function=write><parameter=code>\n  if a < b:\n    x\n\n</parameter></function>",
        [("write", {"code": "  if a < b:\n    x\n"})],
        "",
    ),
    "coder with a list": (
        '<function=f><parameter=a>[{"x": 1}]</parameter><parameter=b>[x</parameter></function>',
        [("f", {"a": [{"x": 1}], "b": "[x"})],
        "",
    ),
    "coder with a number for a text": (
        "<function=search><parameter=query>10</parameter></function>",
        [("search", {"query": "10"})],
        "",
    ),
    "coder with its own tags in a text": (
        (
            "<function=f><parameter=a>\nr'<parameter=b>\\n</parameter>' and </parameter> </function"
            "\n"
            "</parameter>\n<parameter=c>1</parameter>\n</function>"
        ),
        [("f", {"a": "r'<parameter=b>\\n</parameter>' and </parameter> </function", "c": 1})],
        "",
    ),
    "coder with parameters of two types": (
        (
            "<function=kinds><parameter=text>null</parameter><parameter=maybe>null</parameter>"
            "<parameter=maybe_text>007</parameter><parameter=both>7</parameter>"
            "<parameter=flag>True</parameter><parameter=list>[1]</parameter></function>"
        ),
        [
            (
                "kinds",
                {
                    "text": "null",
                    "maybe": None,
                    "maybe_text": "007",
                    "both": 7,
                    "flag": "True",
                    "list": "[1]",
                },
            )
        ],
        "",
    ),
    "Llama's function": ('<function=f>{"a": 1}</function>', [("f", {"a": 1})], ""),
    "mistral": (f"[TOOL_CALLS] [{json.dumps(ONE)}]", [SEARCH], ""),
    "mistral with text after": (f"[TOOL_CALLS] [{json.dumps(ONE)}]\n\nOk", [SEARCH], "Ok"),
    "mistral with braces before": (f"a {{ b [TOOL_CALLS][{json.dumps(ONE)}]", [SEARCH], "a { b"),
    "mistral, nested": (
        '[TOOL_CALLS][{"name": "f", "arguments": {"a": {"b": [{"c": "]"}]}}}]',
        [("f", {"a": {"b": [{"c": "]"}]}})],
        "",
    ),
    "mistral, newer": ('[TOOL_CALLS]f[ARGS]{"a": {"b": 1}}', [("f", {"a": {"b": 1}})], ""),
    "mistral, newer, twice": (
        '[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]now{}',
        [("f", {"a": 1}), ("now", {})],
        "",
    ),
    "llama": ('<|python_tag|>{"name": "f", "parameters": {"a": 1}}', [("f", {"a": 1})], ""),
    "llama twice": (
        '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "now", "parameters": {}}',
        [("f", {}), ("now", {})],
        "",
    ),
    "llama, built in": (
        '<|python_tag|>brave_search.call(query="a")',
        [("brave_search", {"query": "a"})],
        "",
    ),
    "llama's code": ("<|python_tag|>print(1)", [], "<|python_tag|>print(1)"),
    "lfm2": (
        "<|tool_call_start|>[search(query='a, \"b]\"'), now()]<|tool_call_end|>ok",
        [("search", {"query": 'a, "b]"'}), ("now", {})],
        "ok",
    ),
    "lfm2 with JSON": (
        f"<|tool_call_start|>[{json.dumps(ONE)}, {json.dumps(ONE)}]<|tool_call_end|>",
        [SEARCH, SEARCH],
        "",
    ),
    "hunyuan": (f"<tool_calls>\n[{json.dumps(ONE)}]\n</tool_calls>", [SEARCH], ""),
    "a mark inside of a word": ("MY_TOOL_CALL: now()", [], "MY_TOOL_CALL: now()"),
    "tags without a call": ("the tag <tool_call> is one", [], "the tag <tool_call> is one"),
}


@pytest.mark.parametrize(("output", "calls", "text"), JSON.values(), ids=JSON)
def test_json(output: str, calls: list[Any], text: str) -> None:
    assert called(output) == (calls, text)


@pytest.mark.parametrize("output", JSON_TEXT.values(), ids=JSON_TEXT)
def test_json_that_is_no_call(output: str) -> None:
    assert called(output) == ([], output)


def test_an_object_alone_is_a_call_only_where_its_tool_is_known() -> None:
    assert called(json.dumps(ONE), tools=None) == ([], json.dumps(ONE))
    assert called(json.dumps(ONE), tools=["other"]) == ([], json.dumps(ONE))
    assert called(json.dumps(ONE), tools=["search"]) == ([SEARCH], "")


@pytest.mark.parametrize(("output", "calls", "text"), TEXT.values(), ids=TEXT)
def test_text_calls(output: str, calls: list[Any], text: str) -> None:
    assert called(output) == (calls, text)


@pytest.mark.parametrize(("output", "calls", "text"), OTHERS.values(), ids=OTHERS)
def test_other_notations(output: str, calls: list[Any], text: str) -> None:
    assert called(output) == (calls, text)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ('{"tool_calls": [broken} x', "'broken' is no value"),
        ('{"tool_calls": [{"name": "f"', "it ends in the middle"),
        ('{"tool_calls": "f"}', "'tool_calls' is no list"),
        ('{"tool_calls": [1]}', "a call is no object"),
        ('{"tool_calls": [{"arguments": {}}]}', "a call has no name"),
        ('{"tool_calls": [{"name": " "}]}', "a call has no name"),
        (
            '{"tool_calls": [{"name": "f", "arguments": [1]}]}',
            "the arguments of a call are no object",
        ),
        ('{"tool_calls": [{"name": "f", "arguments": "{"}]}', "it ends in the middle"),
        ('{"tool_calls": [{"name": "f", "arguments": "{} {}"}]}', "more text follows"),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": 1, "a": 2}}]}', "'a' is given twice"),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": NaN}}]}', "'NaN' is no value"),
        ('{"tool_calls": ' + "[" * 100, "it is nested more than 64 levels deep"),
        ("TOOL_CALL: search", "'(' is missing after 'search'"),
        ("TOOL_CALL: search(query=", "it ends in the middle"),
        ('TOOL_CALL: search(query="a', "it ends in the middle of a text"),
        ('TOOL_CALL: search(query="a" b)', "'b' stands where ',' or ')' is expected"),
        ("TOOL_CALL: f(a=)", "the value of 'a' is missing"),
        ("TOOL_CALL: f(a=1,,b=2)", "a value is missing"),
        ("TOOL_CALL: f(,)", "a value is missing"),
        ("TOOL_CALL: f(10:30)", "an argument has no name; write name=value"),
        ('TOOL_CALL: search("a")', "an argument has no name; write name=value"),
        ("TOOL_CALL: f(a=1, a=2)", "'a' is given twice"),
        ("TOOL_CALL: f(a=x" + "(" * 100, "it is nested more than 64 levels deep"),
        ("TOOL_CALL: f(a=" + "(" * 100, "it is nested more than 64 levels deep"),
        ("<tool_call>{'name': }</tool_call>", "a value is missing"),
        ("<tool_call>", "it ends in the middle"),
        ("<tool_call></tool_call>", "there is no call between the tags"),
        ("<function=f>x</function>", "'<parameter=' or '</function>' is expected"),
        ("<function=f><parameter=a>x", "it ends in the middle of a parameter"),
        ("[TOOL_CALLS] [{]", "']' stands where a name in quotes is expected"),
        ("[TOOL_CALLS]f x", "'x' stands where an object is expected"),
    ],
)
def test_a_broken_call_stays_text_and_is_told(output: str, told: str) -> None:
    parsed = parse(output, tools=TOOLS)

    assert (parsed.text, parsed.tool_calls) == (output, ())
    assert [(p.message, p.is_call) for p in parsed.problems] == [
        (f"a tool call cannot be read: {told}", True)
    ]


def test_a_call_after_a_broken_one_is_read() -> None:
    parsed = parse('{"tool_calls": [{"name": oops TOOL_CALL: now() end')

    assert parsed.tool_calls == (ToolCall("now"),)
    assert parsed.text == '{"tool_calls": [{"name": oops end'
    assert len(parsed.problems) == 1


@pytest.mark.parametrize("output", [case[0] for case in [*JSON.values(), *OTHERS.values()]])
@pytest.mark.parametrize("wrap", ["<think>{}</think>b", "<think>{}", "{}</think>b"])
def test_no_call_is_read_out_of_reasoning(output: str, wrap: str) -> None:
    assert parse(wrap.replace("{}", output), tools=TOOLS).tool_calls == ()


def test_calls_after_reasoning_are_read() -> None:
    parsed = parse("<think>I use TOOL_CALL: f()</think>\nTOOL_CALL: now()")

    assert parsed.tool_calls == (ToolCall("now"),)
    assert parsed.thinking == "I use TOOL_CALL: f()"


def test_a_block_right_after_reasoning_may_hold_calls() -> None:
    block = f"```json\n{json.dumps(ONE)}\n```"

    assert called(f"<think>a</think>{block}") == ([SEARCH], "")
    assert called(f"a</think>{block}") == ([SEARCH], "")


def test_a_call_is_given_as_soon_as_it_is_whole() -> None:
    parser = OutputParser()

    assert parser.push('Look {"tool_calls": [{"name": "now"}]') == [Text("Look")]
    assert parser.push("}") == [ToolCall("now")]


def test_an_object_that_is_no_call_is_shown_from_its_first_name_on() -> None:
    parser = OutputParser(tools=TOOLS)

    assert parser.push('{"') == []
    assert parser.push("city") == [Text('{"city')]
    assert parser.push('": 1') == [Text('": 1')]


def test_data_that_never_ends_hides_calls_only_for_a_while() -> None:
    output = '{"a": "' + "x" * 50 + " TOOL_CALL: now()"

    assert parse(output).tool_calls == ()
    assert parse(output, max_held=40).tool_calls == (ToolCall("now"),)


def test_ids_of_the_model_are_kept() -> None:
    ours = {"id": "call_9", "function": {"name": "now", "arguments": "{}"}}

    assert parse(json.dumps({"tool_calls": [ours]})).tool_calls == (ToolCall("now", {}, "call_9"),)
    assert parse("[TOOL_CALLS]now[CALL_ID]abc123def[ARGS]{}").tool_calls[0].id == "abc123def"


def test_notations_may_be_chosen() -> None:
    output = "TOOL_CALL: now()"

    assert parse(output, formats=[]).text == output
    assert parse(output, formats=[FORMATS["hermes"]]).text == output
    assert parse(output, formats=[FORMATS["text"]]).tool_calls == (ToolCall("now"),)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        {"properties": None},
        {"properties": {"q": True}},
        {"properties": {"q": {"type": None, "anyOf": None}}},
        {"properties": {"q": {"type": [{}], "oneOf": [True, {"type": "integer"}]}}},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "call", ["TOOL_CALL: f(q=1)", "<function=f><parameter=q>1</parameter></function>"]
)
def test_no_schema_of_a_tool_makes_it_raise(schema: Any, call: str) -> None:
    (found,) = parse(call, tools={"f": schema}).tool_calls

    assert found.arguments == {"q": 1}


def test_a_notation_of_ones_own_is_one_value() -> None:
    def read(source: Any, tools: Any) -> Any:
        source.take(2)
        yield from source.ahead(1)
        return [ToolCall(source.take(1))]

    assert parse("a@!xb", formats=[ToolFormat("@!", read)]).tool_calls == (ToolCall("x"),)
    with pytest.raises(ValueError, match="its first character repeats"):
        ToolFormat("<<", read)
