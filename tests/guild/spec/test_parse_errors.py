"""What somebody slipped on in YAML or JSON is told with its place and the remedy."""

from pathlib import Path

import pytest

from guild.checking.loader import load_yaml
from guild.errors import SpecError
from guild.spec.document import read_file, read_json, read_yaml


def complaints(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_yaml(text, "spec.yaml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\t- a\n", "1:1: a tab: YAML is indented with spaces alone; write spaces instead"),
        ("a:\n\tb: 1\n", "2:1: a tab"),
        ("a:\n  - b: 1\n\t c: 2\n", "3:1: a tab"),
        ("a:\n  -\tb: 1\n", "2:4: a tab"),
        ("a: {b: ${N:-3}}\n", "1:9: inside {…} and […] text with a reference stands in quotes: "),
        ("a: [x, ${N}]\n", "1:9: inside {…} and […] text with a reference stands in quotes: wri"),
        ("a: [x-${N:-b}.c]\n", "1:8: inside {…} and […] text with a reference stands"),
        ("a: {b: {c: ${N}}}\n", "1:13: inside {…} and […] text with a reference stands"),
        ("a: [*.b]\n", "1:6: did not find expected alphabetic or numeric character: text that b"),
        ("a: @b\n", "1:4: found character that cannot start any token: text that begins with @ "),
        ("a: `1`\n", "1:4: found character that cannot start any token: text that begins with `"),
        ("a: b: c\n", "1:5: mapping values are not allowed in this context: text that holds ': "),
        ("a: 1\nb: [1, 2\nc: 3\n", "3:2: did not find expected ',' or ']': the [ of line 2 is n"),
        ("a: 1\nb: {c: d\n", "3:1: did not find expected ',' or '}': the { of line 2 is not clo"),
        ("a: 1\nb: 'c\n", "3:1: found unexpected end of stream: the quote of line 2 is not closed"),
        ("a:\n  - b: 1\n   c: 2\n", "3:4: did not find expected '-' indicator: the line is not "),
        ("a: 'Here's b'\n", "1:10: did not find expected key: the text ends with that ';"),
        ('a: "b"c"\n', '1:7: did not find expected key: the text ends with that "; '),
        ("a: {b: c}d\n", "1:10: did not find expected key: nothing may follow what is closed here"),
        ("a:\n  - b: 1\n     c: 2\n", "3:7: mapping values are not allowed in this context: the"),
        ("a: b\n  c: d\n", "2:4: mapping values are not allowed in this context: the line is ind"),
        ("a:b\nc: d\n", "2:2: mapping values are not allowed in this context: the line above has"),
        ("- a: b: c\n", "1:7: mapping values are not allowed in this context: text that holds ':"),
        ("a: 1\nb\nc: 2\n", "3:1: could not find expected ':': line 2 has no ': '"),
        ('a: "\\q"\n', "1:5: found unknown escape character: within double quotes"),
        ("a: ]\n", "1:4: did not find expected node content: a value is missing, or a bracket is"),
        ("{a: 1}}\n", "1:7: did not find expected <document start>: nothing may follow"),
    ],
)  # fmt: skip
def test_a_slip_of_yaml_is_told_with_its_remedy(text: str, expected: str) -> None:
    (line,) = complaints(text)

    assert line.startswith(f"spec.yaml:{expected}")


def test_a_tab_elsewhere_means_nothing() -> None:
    text = "id: x\t\nname:\tx\t# c\nagents: [\n\t{id: a}]\n"

    assert read_yaml(text).data == {"id": "x", "name": "x", "agents": [{"id": "a"}]}
    assert "tab" not in complaints("a: [\n\t{b: c d: e}]\n")[0]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_editor_ends_them(ending: str) -> None:
    text = "id: x\nagents:\n  - id: @\n"

    assert complaints(text.replace("\n", ending))[0].startswith("spec.yaml:3:9: found character")


@pytest.mark.parametrize("name", ["s.yaml", "s.json"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'\xef\xbb\xbf{"id": "x"}')

    assert read_file(tmp_path / name).data == {"id": "x"}
    assert read_json('\ufeff{"id": "x"}').data == read_yaml("\ufeffid: x").data == {"id": "x"}


@pytest.mark.parametrize("name", ["s.yaml", "s.json"])
@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-16", ":1:1: the file is UTF-16 text: save it as UTF-8"),
        ("utf-16-le", ":1:1: the file is UTF-16 text: save it as UTF-8"),
        ("utf-16-be", ":1:1: the file is UTF-16 text: save it as UTF-8"),
        ("utf-32", ":1:1: the file is UTF-32 text: save it as UTF-8"),
        ("latin-1", ":2:8: the byte 0xE9 is not UTF-8 text; the file may be Latin-1 or Windows-"),
    ],
)  # fmt: skip
def test_another_encoding_is_named(tmp_path: Path, name: str, encoding: str, expected: str) -> None:
    (tmp_path / name).write_bytes('{"a": 1,\n "b": "é"}'.encode(encoding))

    with pytest.raises(SpecError) as caught:
        read_file(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}{expected}")


def test_a_device_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SpecError, match="at most 256 KiB"):
        read_file("/dev/zero")


def test_the_remedy_for_a_reference_inside_braces_works() -> None:
    (line,) = complaints("a: {b: ${N:-3}}\n")

    assert line.endswith('write "${N:-3}"')
    assert read_yaml('a: {b: "${N:-3}"}\n').data == {"a": {"b": "${N:-3}"}}


def test_a_merge_of_keys_is_told_once_and_what_it_would_bring_is_not_missed() -> None:
    text = "id: x\nagents:\n  - &base {id: a, type: hello.greeter}\n  - {<<: *base, id: b}\n"

    with pytest.raises(SpecError) as caught:
        load_yaml(text, "spec.yaml")

    first, second = str(caught.value).splitlines()
    assert first.startswith("spec.yaml:3:5: anchors are not allowed (&base)")
    assert second.startswith(
        "spec.yaml:4:10: aliases are not allowed (*base): write the value out, "
    )
    assert read_yaml('"<<": {a: 1}').data == {"<<": {"a": 1}}
    with pytest.raises(SpecError, match=r"4:6: keys are not merged \(<<\): write them here"):
        load_yaml(text.replace("&base ", "").replace("*base", "{type: hello.greeter}"), "spec.yaml")
