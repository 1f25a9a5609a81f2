"""The commands of language models."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import run, settings
from tests.llm.commands.served import SCRIPTED, serving

__all__ = ["run", "settings"]


@pytest.fixture(scope="session")
def scripted_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server has the model `script`, which an agent `say` uses, and says hello."""
    spec = tmp_path_factory.mktemp("served") / "spec.yaml"
    spec.write_text(SCRIPTED)
    process, url = serving(spec)
    with process:
        yield url
        process.kill()
