"""A small real model for everything that talks to one."""

from pathlib import Path

import pytest

from agents.llm.engines.testing import save_tiny_phi


@pytest.fixture(scope="session")
def tiny_phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Phi and its tokenizer; its context window is 128 tokens."""
    return save_tiny_phi(tmp_path_factory.mktemp("models") / "tiny-phi")
