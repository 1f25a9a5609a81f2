"""The commands of language models, and the small real model that they are for."""

import os
from pathlib import Path

import pytest

from agents.llm.models import ModelUnavailableError, fetch_model
from tests.cli.conftest import run, settings, start

__all__ = ["run", "settings", "start"]


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The file of the real model; fetched if it must be. On CI its lack is a failure."""
    try:
        return fetch_model("smollm2")
    except ModelUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
