"""A report's content with something in every part of it."""

import math
from typing import Any

from agents.research.report.content import (
    Completion,
    Curve,
    GeneratedFile,
    HeldOutTest,
    LanguageModelFacts,
    ReportContent,
    Standing,
    StepTaken,
    TokenizerFacts,
    Training,
)

HOSTILE = "<script>alert(1)</script> | `x` *y*"


def full_content(**changes: Any) -> ReportContent:
    epochs = [float(epoch) for epoch in range(1, 21)]
    steps = [float(step) for step in range(0, 400, 20)]
    values: dict[str, Any] = {
        "name": "first",
        "folder": "runs/first",
        "started_at": 1_760_000_000.0,
        "ended_at": 1_760_000_104.5,
        "asked": {"name": "first", "prompt": "def main("},
        "dataset": "digits",
        "steps": [
            StepTaken(title="assemble digits_conv", agent="assembler", status="done", seconds=0.4),
            StepTaken(title="train the language model", agent="trainer", status="done", seconds=41),
            StepTaken(
                title="assemble digits_odd",
                agent="assembler",
                status="failed",
                seconds=0.2,
                error=f"LayerError: layers[3] Linear: {HOSTILE}",
            ),
        ],
        "leaderboard": [
            Standing(
                name="digits_conv",
                rank=1,
                params=52_138,
                flops=2_411_000,
                accuracy=0.9722,
                f1=0.9718,
                seconds=2.13,
                generated_by="compiler",
                outcome="trained",
            ),
            Standing(
                name="digits_mlp",
                rank=2,
                params=19_210,
                flops=38_016,
                accuracy=0.9319,
                f1=0.9301,
                seconds=0.71,
                generated_by="compiler",
            ),
            Standing(name="digits_odd", outcome="failed", error="LayerError"),
        ],
        "training": Training(
            model="digits_conv",
            epochs=20,
            epochs_asked=40,
            best_epoch=14,
            stopped_early=True,
            checkpoint="runs/first/experiments/digits_conv/best.pt",
            loss=[
                Curve(label="train", x=epochs, y=[2.2 * math.exp(-e / 4) + 0.01 for e in epochs]),
                Curve(
                    label="validation",
                    x=epochs,
                    y=[2.2 * math.exp(-e / 4) + 0.05 + 0.002 * e for e in epochs],
                ),
            ],
            accuracy=[
                Curve(label="validation", x=epochs, y=[1 - 0.5 * math.exp(-e / 3) for e in epochs])
            ],
        ),
        "test": HeldOutTest(
            samples=360,
            accuracy=0.9806,
            f1=0.9801,
            loss=0.071,
            confusion=[
                [36 if i == j else int((i, j) == (8, 1)) for j in range(10)] for i in range(10)
            ],
            class_names=[str(digit) for digit in range(10)],
        ),
        "tokenizer": TokenizerFacts(
            type="BPE",
            vocab_size_asked=2048,
            vocab_size=2048,
            corpus_files=120,
            corpus_bytes=2_000_000,
            sample_text="def open(self):\n    return None\n",
            sample_tokens=["def", " open", "(self", "):", "\n   ", " return", " None", "\n"],
        ),
        "language_model": LanguageModelFacts(
            params=812_032,
            steps=400,
            seconds=38.2,
            val_loss=3.31,
            bits_per_byte=1.52,
            uniform_loss=7.62,
            path="runs/first/language_model",
            loss=[
                Curve(label="train", x=steps, y=[3.1 + 4.5 * math.exp(-s / 60) for s in steps]),
                Curve(
                    label="validation",
                    x=steps[::5],
                    y=[3.3 + 4.4 * math.exp(-s / 60) for s in steps[::5]],
                ),
            ],
        ),
        "completion": Completion(
            prompt="def read(self", text=", name):\n        return self._name\n</pre><b>"
        ),
        "code": [GeneratedFile(title="digits_conv", path="runs/first/models/digits_conv.py")],
    }
    return ReportContent(**(values | changes))
