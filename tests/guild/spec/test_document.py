"""Reading YAML and JSON: what is accepted, and where each complaint points."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guild.errors import SpecError
from guild.spec.document import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_SIZE_BYTES,
    Document,
    read_file,
    read_json,
    read_yaml,
)


def complaints(text: str) -> list[str]:
    return told(lambda: read_yaml(text, "spec.yaml"))


def told(read: Callable[[], Document]) -> list[str]:
    """What is wrong, whether or not the rest could be read."""
    try:
        problems = read().problems
    except SpecError as error:
        problems = error.problems
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("=", "="),
        ("<<", "<<"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    data = read_yaml(f"key: {text}").data["key"]

    assert data == value
    assert type(data) is type(value)


def test_every_value_and_key_has_a_position() -> None:
    source = read_yaml("a:\n  - b: 1\n    c: [x, y]\n", "s.yaml").source

    assert source.place(("a", 0, "c", 1)) == "s.yaml:3:12"
    assert str(source.position(("a", 0, "c"), at_key=True)) == "s.yaml:3:5"
    assert source.place(("a", 0, "nothing", "here")) == "s.yaml:2:5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "spec.yaml:3:1: duplicate key 'a', first in line 1"),
        ("a: &x 1\n", "spec.yaml:1:4: anchors are not allowed (&x)"),
        ("a: !!python/object/apply:os.system [id]\n", "spec.yaml:1:4: tags are not allowed"),
        ("a: !!str 1\n", "spec.yaml:1:4: tags are not allowed"),
        ("a: !custom {}\n", "spec.yaml:1:4: tags are not allowed (!custom)"),
        ("a: .inf\n", "spec.yaml:1:4: a number must be finite"),
        ("a: -.INF\n", "spec.yaml:1:4: a number must be finite"),
        ("a: .nan\n", "spec.yaml:1:4: a number must be finite"),
        ("a: 1e999\n", "spec.yaml:1:4: the number is too large"),
        ("a: 9223372036854775808\n", "spec.yaml:1:4: the number does not fit 64 bits"),
        (f"a: {'9' * 5000}\n", "spec.yaml:1:4: the number is too long"),
        ("1: x\n", "spec.yaml:1:1: a key is text: write '1' in quotes"),
        ("true: x\n", "spec.yaml:1:1: a key is text: write 'true' in quotes"),
        ("? [a, b]\n: x\n", "spec.yaml:1:3: a key is plain text"),
        ("a: [1, 2\nb: 3\n", "spec.yaml:2:2:"),
        ("a: b: c\n", "spec.yaml:1:5: mapping values are not allowed in this context"),
        ("a: \x01\n", "spec.yaml:1:4: control characters are not allowed: U+0001"),
        ("a: x\0\n", "spec.yaml:1:5: control characters are not allowed: U+0000"),
        ("a: 1\n--- \nb: 2\n", "spec.yaml:2:1: one document only: remove what follows ---"),
        ("", "spec.yaml:1:1: the document is empty"),
        ("# only a comment\n", "spec.yaml:1:1: the document is empty"),
        ("x: '\ud800'\n", "spec.yaml:1:1: the text holds half a character"),
        ("a: !include b.yaml\n", "spec.yaml:1:4: !include works in YAML files only"),
    ],
)
def test_what_a_spec_may_not_hold_is_refused_where_it_stands(text: str, expected: str) -> None:
    first, *_ = complaints(text)

    assert first.startswith(expected)


def test_all_problems_of_a_document_are_told_at_once() -> None:
    text = "a: &x 1\nb: *x\na: .nan\n1: 2\n"

    assert [line.split(": ")[0] for line in complaints(text)] == [
        "spec.yaml:1:4",
        "spec.yaml:2:4",
        "spec.yaml:3:1",
        "spec.yaml:3:4",
        "spec.yaml:4:1",
    ]


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_nesting_is_limited_without_recursing_into_it(opening: str) -> None:
    assert complaints(opening * 50_000)[-1].endswith(f"nested more than {MAX_DEPTH} deep")


def test_the_number_of_values_is_limited() -> None:
    assert read_yaml("[" + "1, " * (MAX_NODES - 2) + "1]")
    assert complaints("[" + "1, " * MAX_NODES + "1]")[-1].endswith("at most 10,000 values")


def test_an_alias_bomb_expands_to_nothing() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    assert all("not allowed" in line for line in complaints(bomb))


def test_the_size_of_a_text_is_limited() -> None:
    assert complaints("a: " + "x" * MAX_SIZE_BYTES) == [
        "spec.yaml:1:1: a spec is at most 256 KiB long"
    ]


def test_the_size_of_a_file_is_limited_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(SpecError, match="at most 256 KiB"):
        read_file(huge)


def test_a_missing_file_and_a_folder_and_latin_1_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")

    for name, text in (("none.yaml", "No such file"), ("", "directory"), ("latin.yaml", "UTF-8")):
        with pytest.raises(SpecError, match=text):
            read_file(tmp_path / name)


def test_an_included_file_takes_its_place_with_its_own_positions(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("id: x\nagents: !include parts/agents.yaml\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "agents.yaml").write_text("- id: a\n- id: b\n")

    document = read_file(tmp_path / "spec.yaml")

    assert document.data == {"id": "x", "agents": [{"id": "a"}, {"id": "b"}]}
    assert document.source.place(("agents", 1, "id")) == "parts/agents.yaml:2:7"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("../outside.yaml", "lies outside"),
        ("/etc/passwd", "lies outside"),
        ("link.yaml", "lies outside"),
        ("spec.yaml", "includes itself"),
        ("missing.yaml", "there is no file 'missing.yaml' to include"),
        ("broken.yaml", "broken.yaml:1:4: a number must be finite"),
        ("x" * 300, f"spec.yaml:1:4: cannot include '{'x' * 300}': File name too long"),
        ('"a\\0b.yaml"', r"spec.yaml:1:4: cannot include 'a\x00b.yaml': embedded null byte"),
    ],
)
def test_an_include_stays_inside_its_folder_and_ends(
    tmp_path: Path, target: str, text: str
) -> None:
    root = tmp_path / "specs"
    root.mkdir()
    (tmp_path / "outside.yaml").write_text("a: 1\n")
    (root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (root / "broken.yaml").write_text("a: .inf\n")
    (root / "spec.yaml").write_text(f"a: !include {target}\n")

    (line,) = told(lambda: read_file(root / "spec.yaml"))
    assert text in line


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("b: !include b.yaml\n")
    (tmp_path / "b.yaml").write_text("a: !include a.yaml\n")

    assert told(lambda: read_file(tmp_path / "a.yaml")) == ["b.yaml:1:4: 'a.yaml' includes itself"]


def test_includes_share_one_limit(tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text("[" + "1, " * 3000 + "1]")
    (tmp_path / "spec.yaml").write_text("".join(f"k{n}: !include many.yaml\n" for n in range(5)))

    with pytest.raises(SpecError, match="at most 10,000 values") as caught:
        read_file(tmp_path / "spec.yaml")
    assert len(caught.value.problems) == 1


def test_json_is_read_as_json_and_placed_too() -> None:
    text = '{\n\t"a": ["\\ud83d\\ude00", 1.5, -2, null, true, "\\\\ud83d"],\n\t"b": {}\n}'

    document = read_json(text, "s.json")

    assert document.data == {"a": ["\U0001f600", 1.5, -2, None, True, "\\ud83d"], "b": {}}
    assert document.source.place(("b",)) == "s.json:3:7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1", "s.json:1:1: this is not JSON; a file of YAML is named .yaml"),
        ('{"a": 1,}', "s.json:1:"),
        ('{"a": [1,\n ]}', "s.json:"),
        ("{'a': 1}", "s.json:1:2: text stands in double quotes in JSON"),
        ('{"a": 1,\n // no\n "b": 2}', "s.json:2:2: JSON has no comments"),
        ('{"a": }', "s.json:1:7: not JSON: expecting value"),
        ('{"a":\nNaN}', "s.json:2:1: NaN is not JSON"),
        ('{"a": 1e999}', "s.json:1:7: the number is too large"),
        ("", "s.json:1:1: not JSON: expecting value"),
    ],
)
def test_broken_json_is_refused_where_it_breaks(text: str, expected: str) -> None:
    (line,) = told(lambda: read_json(text, "s.json"))

    assert line.startswith(expected)


def test_a_value_that_cannot_be_read_does_not_keep_the_rest_from_being_read() -> None:
    document = read_yaml("a: .nan\nb: 2\nc: &x 3\nd: [*x]\n", "s.yaml")

    assert (document.data["b"], len(document.problems)) == (2, 3)
    assert document.unknown == {("a",), ("c",), ("d", 0)}


def test_a_key_that_is_there_twice_does_not_keep_the_rest_from_being_read() -> None:
    document = read_json('{"a": 1, "a": 2, "b": 3}', "s.json")

    assert document.data == {"a": 1, "b": 3}
    assert [str(problem) for problem in document.problems] == [
        "s.json:1:10: duplicate key 'a', first in line 1"
    ]


def test_text_in_json_is_what_it_is_where_yaml_sees_a_line_or_a_control_character() -> None:
    value = "".join(map(chr, range(0x7F, 0xA0))) + " \u2028 \u2029 \ufeff"

    assert read_json(json.dumps([value], ensure_ascii=False)).data == [value]


def test_what_is_not_json_behind_a_number_that_is_too_long_is_told(tmp_path: Path) -> None:
    """Python gives up at the number, and YAML reads on."""
    number = "9" * 5000
    (tmp_path / "s.json").write_text(f'{{"a": {number}, "b": !include b.yaml}}')

    problems = read_file(tmp_path / "s.json").problems
    assert [each.text for each in problems] == [
        "the number is too long",
        "!include works in YAML files only",
    ]
    with pytest.raises(SpecError, match="the number is too long"):
        read_json(f'{{"a": {number}, "b": "\\ud8zz\\udczz"}}')


def test_json_is_nested_no_deeper_than_yaml() -> None:
    with pytest.raises(SpecError, match=rf"^s\.json:1:\d+: nested more than {MAX_DEPTH} deep$"):
        read_json("[" * 100_000, "s.json")


def test_a_json_file_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"id": "x"}')

    assert read_file(tmp_path / "spec.json").data == {"id": "x"}
