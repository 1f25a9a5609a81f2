"""From what somebody typed to a model that is there, or the reason why there is none."""

import re
from pathlib import Path

from agents.llm.models import MODELS
from agents.llm.wizard.folders import look_into_folder
from agents.llm.wizard.found import AnswerError, Found
from agents.llm.wizard.gguf_files import look_at_gguf, look_at_named
from agents.llm.wizard.hub import look_on_hub
from agents.llm.wizard.servers import look_at_server
from guild.suggest import closest

_HUB_PAGE = re.compile(r"(?:https?://(?:www\.)?)?(?:huggingface\.co|hf\.co)/(.+)|hf://(.+)")
_NO_MODELS = {"datasets", "spaces", "docs", "collections", "papers", "blog"}
_HOST = re.compile(r"[\w.-]+:\d+(/.*)?")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_CHOICES = f"{', '.join(MODELS)}, a GGUF file, a folder, an id on the Hugging Face hub, or a URL"


def look_up(
    text: str, *, served_model: str | None = None, key_variable: str | None = None
) -> Found:
    """The model that `text` names.

    Args:
        text: a name of the catalog, a path, a URL of a server, an id on the Hugging Face hub or
            the URL of its page there.
        served_model: which of a server's models.
        key_variable: the environment variable that holds the server's key.

    Raises:
        AnswerError: there is no such model, or it cannot be used.
        MissingExtraError: looking needs a package that is not installed.
    """
    text = text.strip().strip("'\"")
    if page := _HUB_PAGE.fullmatch(text):
        text = _id_of_page(text, page[1] or page[2])
    path = Path(text).expanduser()
    if "://" in text:
        return look_at_server(text, served_model, key_variable)
    if served_model or key_variable:
        raise AnswerError(f"{text} is no URL: --served-model and --api-key-env are for servers")
    if not text:
        raise AnswerError(f"name a model: {_CHOICES}")
    if path.is_dir():
        return look_into_folder(path)
    if path.exists():
        return look_at_gguf(path)
    if text in MODELS:
        return look_at_named(text)
    return look_on_hub(_hub_id(text))


def _id_of_page(url: str, path: str) -> str:
    """The id of the model that a page of the hub is about."""
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[0] in _NO_MODELS:
        raise AnswerError(f"{url} is no page of a model; name one: {_CHOICES}")
    model = "/".join(parts[:2])
    if parts[-1].endswith(".gguf"):
        raise AnswerError(
            f"download {parts[-1]} first (`hf download {model} {parts[-1]}`), and give its path"
        )
    return model


def _hub_id(text: str) -> str:
    if _HOST.fullmatch(text):
        raise AnswerError(f"a server is named by its URL: give http://{text}")
    if text.startswith(("/", ".", "~")) or text.endswith((".gguf", "/")):
        raise AnswerError(f"there is no file or folder {text}")
    if "/" not in text and (hint := closest(text, MODELS)):
        raise AnswerError(f"no model is called {text}; did you mean {hint!r}?")
    if not _HUB_ID.fullmatch(text):
        raise AnswerError(f"{text} is no model; name one: {_CHOICES}")
    return text
