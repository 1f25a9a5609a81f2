import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.ml.tokenizer.manager import pytorch_tokenizer_manager
from agents.ml.tokenizer.registry import TokenizerRegistry

Manage = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real text that every machine has: some of Python's own standard library."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(stdlib.glob("a*.py"))
    corpus = tmp_path_factory.mktemp("corpus") / "stdlib.txt"
    corpus.write_text("".join(f.read_text(encoding="utf-8") for f in files), encoding="utf-8")
    return corpus


@pytest.fixture
def registry(tmp_path: Path) -> TokenizerRegistry:
    return TokenizerRegistry(tmp_path / "tokenizers", root=tmp_path)


@pytest.fixture
def manage(registry: TokenizerRegistry) -> Manage:
    def call(action: str, name: str = "mine", **arguments: Any) -> dict[str, Any]:
        return pytorch_tokenizer_manager(action, name, registry=registry, **arguments)

    return call
