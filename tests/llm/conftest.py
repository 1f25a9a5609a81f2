"""A small real model for everything that talks to one."""

from pathlib import Path

import pytest

from agents.llm.engines.testing import save_tiny_phi
from tests.llm.chat_models import save_tiny_chat_model


@pytest.fixture(scope="session")
def tiny_phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Phi and its tokenizer; its context window is 128 tokens."""
    return save_tiny_phi(tmp_path_factory.mktemp("models") / "tiny-phi")


@pytest.fixture(scope="session")
def tiny_chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a chat template and a context window of 1024 tokens."""
    return save_tiny_chat_model(tmp_path_factory.mktemp("models") / "tiny-chat")
