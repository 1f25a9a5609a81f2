"""A report's content with something in every part of it."""

import math
from typing import Any

from agents.research.report.content import (
    Completion,
    Curve,
    LanguageModelFacts,
    ReportContent,
    StepTaken,
    TokenizerFacts,
)

HOSTILE = "<script>alert(1)</script> | `x` *y*"


def full_content(**changes: Any) -> ReportContent:
    steps = [float(step) for step in range(0, 400, 20)]
    values: dict[str, Any] = {
        "name": "first",
        "folder": "runs/first",
        "started_at": 1_760_000_000.0,
        "ended_at": 1_760_000_104.5,
        "asked": {"name": "first", "prompt": "def main("},
        "steps": [
            StepTaken(title="corpus", agent="tokenizer", status="done", seconds=0.4),
            StepTaken(title="train the language model", agent="trainer", status="done", seconds=41),
            StepTaken(
                title="search",
                agent="researcher",
                status="failed",
                seconds=0.2,
                error=f"LayerError: layers[3] Linear: {HOSTILE}",
            ),
        ],
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
    }
    return ReportContent(**(values | changes))
