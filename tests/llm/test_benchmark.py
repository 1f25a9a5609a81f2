"""The benchmark of language models runs and says all that it is for; how fast is nobody's test."""

import re
import subprocess
import sys

import pytest

from benchmarks.llm.beside import DiedError, contest
from benchmarks.llm.contestants import Order
from benchmarks.llm.report import Report, at_least, at_most

FIGURES = [
    r"ours ÷ padded batches of `generate`, 8 at once",
    r"ours ÷ continuous batching of transformers, 8 at once",
    r"ours ÷ llama\.cpp, same weights in an F32 file, 2 at once",
    r"ours ÷ llama\.cpp, same weights in an F32 file, 8 at once",
    r"8 conversations on the bus \(`llm\.chat`\) ÷ by the engine",
    r"8 conversations over HTTP \(streamed\) ÷ by the engine",
    r"cost of streaming to 8 readers",
    r"engine, streamed ÷ its decoder alone",
    r"event-loop stall while generating, p99",
    r"cancel to compute freed",
    r"first token with 64 known tokens, sooner",
    r"typed answers that are valid",
    r"one request ÷ `generate`",
    r"8 at once ÷ one at a time, decode-heavy",
    r"8 at once ÷ one at a time, mixed",
    r"first token at once, sooner than an end, mixed",
    r"8 at once in int8 ÷ one at a time in float32, decode-heavy",
]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_quick_run_says_each_figure_and_has_the_same_answers_as_its_peers() -> None:
    command = [sys.executable, "-m", "benchmarks.llm", "--quick", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("about half a minute\n")
    for figure in FIGURES:
        (row,) = re.findall(rf"^\| {figure} \|.*$", done.stdout, re.MULTILINE)
        assert re.match(r"\| [^|]+ \| -?[\d.e+-]+ (x|%|ms|steps) \|", row), row
    said = r"^\| ours ÷ (\S+).* (\d+) of (\d+) answers are equal"
    equal = re.findall(said, done.stdout, re.MULTILINE)
    assert len(equal) == 9
    for peer, some, every in equal:  # llama.cpp keeps keys and values in float16
        assert some == every or (peer == "llama.cpp," and some != "0")
    assert re.search(r"those of `generate`, mixed \| 100 % \| ≥ 100 \| met", done.stdout)
    assert re.search(r"\d+ goals met, \d+ missed", done.stdout)


def test_a_goal_is_met_or_missed_or_was_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add("fast", 8.0, at_least(6))
    report.add("slow", 5.9, at_least(6))
    report.add("cheap", 1.05, at_most(1.05))
    report.add("dear", 1.06, at_most(1.05))
    report.add("gone", None, at_least(1), note="it died")
    report.add("beside", 2.0)

    assert [row.verdict for row in report.rows] == [
        "met",
        "MISSED",
        "met",
        "MISSED",
        "not measured",
        "",
    ]
    assert report.sums_up() == "2 goals met, 2 missed: slow; dear; gone"
    assert "| gone | - x | ≥ 1 | not measured | it died |" in capsys.readouterr().out


def test_a_contestant_that_dies_is_said_to_have_died() -> None:
    order = Order("no/such/folder", "no-such.gguf", "float32", "cpu", 1, [[((1, 2), 3)]])

    with pytest.raises(DiedError, match=r"ended with status 1: .*there is no file no-such\.gguf"):
        contest("llamacpp", order)
