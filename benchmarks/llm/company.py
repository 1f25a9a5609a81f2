"""Many answers at once beside one at a time, and beside `generate`."""

import statistics

from agents.llm.engines.int8 import quantize
from agents.llm.engines.local_engine import LocalEngine
from benchmarks.llm.report import Goal, at_least, at_most
from benchmarks.llm.subject import Subject
from benchmarks.llm.work import Dice, Piece, Run, Work, generate, one_by_one, run

_ALONE_TOKENS = 64


async def measure_company(subject: Subject, dice: Dice) -> None:
    """One request, many requests, and those with weights of 8 bits, which stay so."""
    size, report = subject.size, subject.report
    heavy, mixed = dice.heavy(size.answers), dice.mixed(size.answers)
    async with subject.engine(prompt_cache_bytes=0) as engine:
        await _alone(subject, engine, dice)
        alone = {"decode-heavy": await one_by_one(engine, heavy[: size.sequential])}
        alone["mixed"] = await one_by_one(engine, mixed)
        together = {
            "decode-heavy": await _best(engine, heavy, size.repeats),
            "mixed": await _best(engine, mixed, size.repeats),
        }
    goals = {"decode-heavy": at_least(6), "mixed": at_least(3)}
    for name, company in together.items():
        _compare(subject, name, alone[name], company, goals[name])
    if subject.is_exact:
        for name, work in (("decode-heavy", heavy), ("mixed", mixed)):
            _equality(subject, name, work, together[name])
    if subject.device == "cpu":
        await _int8(subject, heavy, mixed, alone)
    else:
        report.add("int8", None, note="for the CPU only")


async def measure_prefix(subject: Subject, dice: Dice) -> None:
    """The first token of a prompt whose beginning has been read before."""
    known = subject.size.known_tokens
    async with subject.engine() as engine:
        first, other = dice.prompt(known), dice.prompt(known)
        await run(engine, [Piece(first, 1)])
        cold = await run(engine, [Piece(other + dice.prompt(10), 1)])
        warm = [await run(engine, [Piece(first + dice.prompt(10), 1)]) for _ in range(3)]
    sooner = cold.first_token_s[0] / statistics.mean(r.first_token_s[0] for r in warm)
    subject.report.add(f"first token with {known} known tokens, sooner", sooner, at_least(5))


async def _alone(subject: Subject, engine: LocalEngine, dice: Dice) -> None:
    single = [Piece(dice.prompt(subject.size.prompt_tokens * 2), _ALONE_TOKENS)]
    await run(engine, single)
    generate(subject.model, single)
    ours, theirs = [], []
    for _ in range(subject.size.repeats):  # by turns: the machine changes its mind
        ours.append((await run(engine, single)).seconds)
        theirs.append(generate(subject.model, single)[0])
    subject.report.add("one request ÷ `generate`", min(ours) / min(theirs), at_most(1.05))


def _compare(subject: Subject, name: str, alone: Run, company: Run, goal: Goal) -> None:
    answers = len(company.finished)
    each = alone.seconds / len(alone.finished)
    label = f"{answers} at once ÷ one at a time"
    note = _by_processor_time(alone, company)
    subject.report.add(f"{label}, {name}", each * answers / company.seconds, goal, note=note)
    completed = each * (answers + 1) / 2
    sooner = completed / statistics.mean(company.first_token_s)
    subject.report.add(f"first token at once, sooner than an end, {name}", sooner, at_least(8))


def _equality(subject: Subject, name: str, work: Work, company: Run) -> None:
    some = subject.size.sequential
    _, expected = generate(subject.model, work[:some])
    equal = sum(
        one.token_ids == ids for one, ids in zip(company.finished[:some], expected, strict=True)
    )
    subject.report.add(
        f"answers at once that are those of `generate`, {name}",
        100 * equal / some,
        at_least(100),
        unit="%",
        note=f"{some} of {len(company.finished)}",
    )


async def _int8(subject: Subject, heavy: Work, mixed: Work, alone: dict[str, Run]) -> None:
    quantize(subject.model)
    async with subject.engine(prompt_cache_bytes=0) as engine:
        await run(engine, heavy[:1])
        for name, work, goal in (("decode-heavy", heavy, at_least(10)), ("mixed", mixed, None)):
            company = await _best(engine, work, subject.size.repeats)
            before = alone[name]
            ratio = before.seconds / len(before.finished) * len(work) / company.seconds
            subject.report.add(
                f"{len(work)} at once in int8 ÷ one at a time in float32, {name}",
                ratio,
                goal,
                note=_by_processor_time(before, company),
            )


async def _best(engine: LocalEngine, work: Work, repeats: int) -> Run:
    return min([await run(engine, work) for _ in range(repeats)], key=lambda one: one.seconds)


def _by_processor_time(alone: Run, company: Run) -> str:
    ratio = alone.cpu_s / len(alone.finished) * len(company.finished) / company.cpu_s
    return f"{ratio:.2g} x by processor time"
