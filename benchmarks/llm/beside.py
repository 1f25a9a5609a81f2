"""Our engine beside others that answer the same prompts by the same weights."""

import json
import subprocess
import sys

from benchmarks.llm.contestants import Order, Outcome
from benchmarks.llm.report import Goal, at_least
from benchmarks.llm.subject import Subject
from benchmarks.llm.work import Dice

_PATIENCE_S = 300.0
OTHERS = {
    "padded": "padded batches of `generate`",
    "continuous": "continuous batching of transformers",
    "llamacpp": "llama.cpp, same weights in an F32 file",
}


class DiedError(Exception):
    """The contestant came to no result; says how it ended."""


def measure_beside(subject: Subject, dice: Dice) -> None:
    """Tokens a CPU second on the CPU, tokens a second on a GPU; ours ÷ theirs."""
    size = subject.size
    works = {
        f"{size.answers // 4} at once": dice.heavy(size.answers // 4),
        f"{size.answers} at once": dice.heavy(size.answers),
        f"{size.answers} at once, mixed": dice.mixed(size.answers),
    }
    file = None if subject.file is None else str(subject.file)
    order = Order(
        str(subject.folder),
        file,
        size.dtype,
        subject.device,
        subject.threads,
        list(works.values()),
    )
    ours = dict(zip(works, contest("ours", order), strict=True))
    for name, title in OTHERS.items():
        if name == "llamacpp" and file is None:
            subject.report.add(f"ours ÷ {title}", None, note="on the CPU only")
            continue
        try:
            theirs = contest(name, order)
        except DiedError as error:
            goal = at_least(0.8) if name == "llamacpp" else None
            subject.report.add(f"ours ÷ {title}", None, goal, note=f"it died: {error}")
            continue
        for (work, mine), other in zip(ours.items(), theirs, strict=True):
            has_goal = name == "llamacpp" and "mixed" not in work
            goal = at_least(0.8) if has_goal else None
            _compare(subject, f"ours ÷ {title}, {work}", mine, other, goal)


def contest(name: str, order: Order) -> list[Outcome]:
    """What `name` makes of the order, in a process of its own.

    Raises:
        DiedError: its process ended before it was done, or took too long.
    """
    command = [sys.executable, "-m", "benchmarks.llm.contestants", name]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DiedError(f"not done after {_PATIENCE_S:.0f} s") from error
    outcomes = [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
    if len(outcomes) < len(order.works):
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise DiedError(f"its process ended with status {done.returncode}: {last[:120]}")
    return outcomes


def _compare(subject: Subject, name: str, mine: Outcome, other: Outcome, goal: Goal | None) -> None:
    on_cpu = subject.device == "cpu"
    costs = (mine.cpu_s, other.cpu_s) if on_cpu else (mine.seconds, other.seconds)
    rates = mine.tokens / costs[0], other.tokens / costs[1]
    equal = sum(a == b for a, b in zip(mine.answers, other.answers, strict=True))
    note = f"{rates[0]:.0f} and {rates[1]:.0f} tokens a {'CPU ' if on_cpu else ''}second"
    note += f"; {equal} of {len(mine.answers)} answers are equal"
    subject.report.add(name, rates[0] / rates[1], goal, note=note)
