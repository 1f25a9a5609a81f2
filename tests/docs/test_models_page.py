"""The page on models: its code prints what it shows, and its errors are those that can be said."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agents.llm.models import fetch_model
from tests.docs.blocks import Block
from tests.docs.pages import MODELS, ROOT, blocks_on

ENGINES = ROOT / "agents" / "llm" / "engines"
ABOUT_MODELS = (  # where errors about a model come from that a user can do something about
    *("loading", "gguf", "gguf_vocabulary", "llamacpp_engine", "llamacpp_model", "model_file"),
    *("transformers_engine", "decoder"),
)
KINDS = {
    "LLMInitializationError",
    "ModelNotFoundError",
    "ModelDamagedError",
    "HubUnreachableError",
    "DeviceUnavailableError",
    "MissingDependencyError",
    "OutOfMemoryError",
}
_QUOTE = re.compile(r"`` ?(.+?) ?``|`([^`]+)`")


def quoted() -> list[str]:
    """What stands in the first column of the tables of errors."""
    _, _, tables = MODELS.read_text(encoding="utf-8").partition("## What the engine says")
    cells = [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| ")]
    return [
        double or single
        for cell in cells
        if not cell.startswith("| nothing:")
        for double, single in _QUOTE.findall(cell)
    ]


def text_of(node: ast.expr) -> str | None:
    """A string as it stands in the code, with `…` for what is put in."""
    if isinstance(node, ast.JoinedStr):
        return re.sub("…+", "…", "".join(text_of(part) or "…" for part in node.values))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def nodes_of(*modules: str) -> Iterator[ast.AST]:
    for module in modules:
        yield from ast.walk(ast.parse((ENGINES / f"{module}.py").read_text(encoding="utf-8")))


def sayable() -> set[str]:
    """Every string in the code of the engines."""
    names = [path.stem for path in ENGINES.glob("*.py")]
    found = (text_of(node) for node in nodes_of(*names) if isinstance(node, ast.expr))
    return {text for text in found if text}


def said_of_models() -> set[str]:
    """What is raised about a model."""
    calls = [node for node in nodes_of(*ABOUT_MODELS) if isinstance(node, ast.Call)]
    named = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id in KINDS and c.args]
    return {text for call in named if (text := text_of(call.args[0])) is not None}


def is_quote_of(quote: str, text: str) -> bool:
    """Whether `text` is the quote, or goes on after it with advice."""
    return text == quote or text.startswith((f"{quote};", f"{quote} "))


def test_every_quoted_error_can_be_said() -> None:
    texts = sayable()

    assert len(quoted()) > 30
    assert not [q for q in quoted() if not any(is_quote_of(q, text) for text in texts)]


def test_every_error_about_a_model_is_on_the_page() -> None:
    quotes = quoted()

    assert len(said_of_models()) > 25
    assert not [t for t in said_of_models() if not any(is_quote_of(q, t) for q in quotes)]


def printed_by(block: Block) -> str:
    command = [sys.executable, "-c", block.text]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(120)
def test_the_code_prints_what_the_page_shows() -> None:
    fetch_model("smollm2")
    one, output, table = blocks_on(MODELS)

    rows = printed_by(table)
    assert printed_by(one) == output.text
    assert len(rows.splitlines()) == 5
    assert rows in MODELS.read_text(encoding="utf-8")
