"""The commands of language models, and the small real model that they are for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.llm.models import ModelUnavailableError, fetch_model
from tests.cli.conftest import run, settings
from tests.llm.commands.served import SCRIPTED, serving

__all__ = ["run", "settings"]


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The file of the real model; fetched if it must be. On CI its lack is a failure."""
    try:
        return fetch_model("smollm2")
    except ModelUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def scripted_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server has the model `script`, which an agent `say` uses, and says hello."""
    spec = tmp_path_factory.mktemp("served") / "spec.yaml"
    spec.write_text(SCRIPTED)
    process, url = serving(spec)
    with process:
        yield url
        process.kill()
