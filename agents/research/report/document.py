"""From what was found to the sections of a report, whatever they are shown in."""

import json

from agents.research.report.blocks import (
    Block,
    Code,
    Continuation,
    Document,
    Drawing,
    Failure,
    Prose,
    Section,
    Table,
    Tile,
    Tiles,
    Tokens,
)
from agents.research.report.chart import Axis, Series, chart
from agents.research.report.content import Curve, Machine, ReportContent
from agents.research.report.machine import machine_section
from agents.research.report.study.reading import Reading
from agents.research.report.study.sections import found, sections_of
from agents.research.report.wording import (
    decimal,
    duration,
    moment,
    scaled,
    size,
    whole,
)


def build_document(content: ReportContent, machine: Machine) -> Document:
    """Everything that `content` knows, in reading order, and the machine it was found on."""
    sections = [
        *_study(content),
        _overview(content),
        _tokenizer(content),
        _language_model(content),
        _steps(content),
        machine_section(machine),
        _asked(content),
    ]
    return Document(
        title=f"Research run “{content.name}”",
        subtitle=f"{moment(content.started_at)}, finished after {duration(content.seconds)}",
        sections=[section for section in sections if section.blocks],
    )


def _study(content: ReportContent) -> list[Section]:
    if content.study is None:
        return []
    reading = Reading(content.study)
    return [found(reading), *sections_of(reading)]


def _overview(content: ReportContent) -> Section:
    tiles = []
    if content.language_model is not None:
        model = content.language_model
        note = f"language model of {scaled(model.params)} parameters, validation text"
        tiles.append(Tile("bits per byte", decimal(model.bits_per_byte), note))
    done = sum(step.status == "done" for step in content.steps)
    note = "every step worked" if not content.failures else f"{len(content.failures)} failed"
    tiles.append(Tile("steps", f"{done} of {len(content.steps)}", note))
    failures: list[Block] = [Failure(step.title, step.error) for step in content.failures]
    return Section("Result", [Tiles(tiles), *failures])


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


def _language_model(content: ReportContent) -> Section:
    model = content.language_model
    if model is None:
        return Section("Language model", [])
    text = (
        f"A Phi of {scaled(model.params)} parameters after {whole(model.steps)} steps in "
        f"{duration(model.seconds)}: validation loss {decimal(model.val_loss)} nats per token "
        f"(guessing evenly would have {decimal(model.uniform_loss)}), which is "
        f"{decimal(model.bits_per_byte)} bits per byte. Saved in {model.path}"
    )
    blocks: list[Block] = [Prose(text)]
    if (drawn := _loss_chart(model.loss)) is not None:
        blocks.append(drawn)
    if content.completion is not None:
        blocks += [
            Prose("Served by the guild's own Phi agent, it went on like this:"),
            Continuation(content.completion.prompt, content.completion.text),
        ]
    return Section("Language model", blocks)


def _loss_chart(curves: list[Curve]) -> Drawing | None:
    axes = (
        Axis("training step", lambda value, _: f"{value:.0f}", is_whole=True),
        Axis("nats per token"),
    )
    lines = [
        Series(curve.label, list(zip(curve.x, curve.y, strict=True)), colour)
        for colour, curve in enumerate(curves)
    ]
    return chart("language-model-loss", "Loss of the language model", axes, lines)


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
