"""From what was found to the sections of a report, whatever they are shown in."""

import json
from collections.abc import Mapping

from agents.research.report.blocks import (
    Block,
    Code,
    Continuation,
    Document,
    Failure,
    Picture,
    Pictures,
    Prose,
    Section,
    Table,
    Tile,
    Tiles,
    Tokens,
)
from agents.research.report.content import Machine, ReportContent, Standing
from agents.research.report.figure import Figure
from agents.research.report.machine import machine_section
from agents.research.report.study.reading import Reading
from agents.research.report.study.sections import found, sections_of
from agents.research.report.wording import (
    decimal,
    duration,
    moment,
    percent,
    scaled,
    size,
    whole,
)

LEADERBOARD_COLUMNS = ("#", "architecture", "params", "FLOPs", "accuracy", "F1", "time", "outcome")
LEADERBOARD_NUMBERS = frozenset({0, 2, 3, 4, 5, 6})


def build_document(
    content: ReportContent,
    machine: Machine,
    figures: Mapping[str, Figure],
    sources: Mapping[str, str],
) -> Document:
    """Everything that `content` knows, in reading order.

    Args:
        content: what was asked and found.
        machine: where.
        figures: the plots that were drawn, by key.
        sources: the text of each file of `content.code`, by path.
    """
    sections = [
        *_study(content),
        _overview(content),
        _leaderboard(content),
        _training(content, figures),
        _test(content, figures),
        _tokenizer(content),
        _language_model(content, figures),
        _code(content, sources),
        _steps(content),
        machine_section(machine),
        _asked(content),
    ]
    return Document(
        title=f"Research run “{content.name}”",
        subtitle=f"{moment(content.started_at)}, finished after {duration(content.seconds)}",
        sections=[section for section in sections if section.blocks],
    )


def leaderboard_row(standing: Standing) -> list[str]:
    """The cells of one architecture, by `LEADERBOARD_COLUMNS`."""
    return [
        str(standing.rank or ""),
        standing.name,
        whole(standing.params),
        scaled(standing.flops),
        percent(standing.accuracy),
        decimal(standing.f1),
        duration(standing.seconds),
        standing.outcome,
    ]


def _study(content: ReportContent) -> list[Section]:
    if content.study is None:
        return []
    reading = Reading(content.study)
    return [found(reading), *sections_of(reading)]


def _overview(content: ReportContent) -> Section:
    tiles = []
    if content.test is not None:
        note = f"{content.test.samples} images that nothing before had seen"
        tiles.append(Tile("held-out accuracy", percent(content.test.accuracy), note))
    if content.leaderboard:
        working = [s for s in content.leaderboard if s.outcome != "failed"]
        note = f"best: {working[0].name}" if working else "none of them worked"
        tiles.append(Tile("architectures", f"{len(working)} of {len(content.leaderboard)}", note))
    if content.language_model is not None:
        model = content.language_model
        note = f"language model of {scaled(model.params)} parameters, validation text"
        tiles.append(Tile("bits per byte", decimal(model.bits_per_byte), note))
    done = sum(step.status == "done" for step in content.steps)
    note = "every step worked" if not content.failures else f"{len(content.failures)} failed"
    tiles.append(Tile("steps", f"{done} of {len(content.steps)}", note))
    failures: list[Block] = [Failure(step.title, step.error) for step in content.failures]
    return Section("Result", [Tiles(tiles), *failures])


def _leaderboard(content: ReportContent) -> Section:
    if not content.leaderboard:
        return Section("Leaderboard", [])
    best = next((i for i, s in enumerate(content.leaderboard) if s.rank == 1), None)
    rows = [leaderboard_row(standing) for standing in content.leaderboard]
    text = (
        f"Each architecture was generated from its configuration, measured, and trained for a "
        f"moment on {content.dataset}; the best was then trained fully. Accuracy and macro F1 are "
        "those of the validation split, time is that of the short training, and FLOPs count two "
        "per multiply-accumulate for one sample."
    )
    return Section(
        "Leaderboard",
        [Prose(text), Table(list(LEADERBOARD_COLUMNS), rows, LEADERBOARD_NUMBERS, best)],
    )


def _training(content: ReportContent, figures: Mapping[str, Figure]) -> Section:
    training = content.training
    if training is None:
        return Section("Full training", [])
    ended = "stopped early" if training.stopped_early else "ran to its end"
    text = (
        f"{training.model} was trained fully: {training.epochs} of at most "
        f"{training.epochs_asked} epochs ({ended}), best in epoch {training.best_epoch}. "
        f"Its checkpoint: {training.checkpoint}"
    )
    drawn = [figures[k] for k in ("training-loss", "training-accuracy") if k in figures]
    return Section("Full training", [Prose(text), Pictures(drawn)])


def _test(content: ReportContent, figures: Mapping[str, Figure]) -> Section:
    test = content.test
    if test is None:
        return Section("Held-out test", [])
    text = (
        f"On {test.samples} images that neither training nor selection had seen: accuracy "
        f"{percent(test.accuracy)}, macro F1 {decimal(test.f1)}, loss {decimal(test.loss)}."
    )
    return Section("Held-out test", [Prose(text), Picture(figures["confusion"])])


def _tokenizer(content: ReportContent) -> Section:
    facts = content.tokenizer
    if facts is None:
        return Section("Tokenizer", [])
    text = (
        f"{facts.type} learned from {size(facts.corpus_bytes)} in {whole(facts.corpus_files)} "
        f"source files of Python's standard library: {whole(facts.vocab_size)} tokens, "
        f"{whole(facts.vocab_size_asked)} asked for."
    )
    blocks: list[Block] = [Prose(text)]
    if facts.sample_tokens:
        ratio = len(facts.sample_text.encode()) / len(facts.sample_tokens)
        blocks += [
            Prose(f"A sample, {ratio:.2f} bytes to the token:"),
            Tokens(facts.sample_tokens),
        ]
    return Section("Tokenizer", blocks)


def _language_model(content: ReportContent, figures: Mapping[str, Figure]) -> Section:
    model = content.language_model
    if model is None:
        return Section("Language model", [])
    text = (
        f"A Phi of {scaled(model.params)} parameters after {whole(model.steps)} steps in "
        f"{duration(model.seconds)}: validation loss {decimal(model.val_loss)} nats per token "
        f"(guessing evenly would have {decimal(model.uniform_loss)}), which is "
        f"{decimal(model.bits_per_byte)} bits per byte. Saved in {model.path}"
    )
    blocks: list[Block] = [Prose(text), Picture(figures["language-model-loss"])]
    if content.completion is not None:
        blocks += [
            Prose("Served by the guild's own Phi agent, it went on like this:"),
            Continuation(content.completion.prompt, content.completion.text),
        ]
    return Section("Language model", blocks)


def _code(content: ReportContent, sources: Mapping[str, str]) -> Section:
    shown: list[Block] = [
        Code(f"{file.title}: {file.path}", "python", sources[file.path])
        for file in content.code
        if file.path in sources
    ]
    return Section("Generated code", shown)


def _steps(content: ReportContent) -> Section:
    rows = [[step.title, step.agent, step.status, duration(step.seconds)] for step in content.steps]
    text = (
        "From the message that asked to the one that answered, waiting included; branches ran "
        "side by side."
    )
    return Section(
        "Steps", [Prose(text), Table(["step", "agent", "ended", "time"], rows, frozenset({3}))]
    )


def _asked(content: ReportContent) -> Section:
    text = json.dumps(content.asked, indent=2, ensure_ascii=False)
    return Section("What was asked", [Code("The request", "json", text)])
