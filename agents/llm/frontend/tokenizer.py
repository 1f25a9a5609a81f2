"""A model's tokenizer: texts and conversations to tokens, and back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from agents.llm.chat import ChatMessage, ChatPrompt, chat_messages, render_chat
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import InvalidRequestError, MissingDependencyError, problems_of

Messages = Sequence[ChatMessage | Mapping[str, Any]]


class Tokenizer:
    """Encodes and decodes as the model does.

    Args:
        tokenizer: the library's own; it stays there as the attribute of this name.
        decode: from tokens to text; its own, if not given.
    """

    def __init__(
        self, tokenizer: Any, decode: Callable[[Sequence[int]], str] | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self._decode = decode or tokenizer.decode

    @classmethod
    def load(
        cls,
        model_path: str | Path,
        *,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """The tokenizer of a model, without the model.

        Args:
            model_path: a folder, a GGUF file, or an id on the Hugging Face hub.
            revision: branch, tag or commit on the hub.
            trust_remote_code: run Python code that comes with it.

        Raises:
            LLMInitializationError: it cannot be loaded; says what to do.
        """
        config = EngineConfig(
            model=str(model_path), revision=revision, trust_remote_code=trust_remote_code
        )
        try:
            from agents.llm.engines.loading import load_tokenizer  # noqa: PLC0415  needs torch
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"a tokenizer needs {error.name}: pip install 'guildbus[torch]'"
            ) from error
        return cls(load_tokenizer(config))

    def encode(self, prompt: str | Messages) -> list[int]:
        """The tokens of a text as it is, or of a conversation by the model's template.

        Raises:
            InvalidRequestError: the messages make no conversation.
            ChatTemplateError: the template fails.
        """
        if isinstance(prompt, str):
            return list(self.tokenizer.encode(prompt))
        rendered = self.render(prompt)
        return list(self.tokenizer.encode(rendered.text) if rendered.ids is None else rendered.ids)

    def render(self, messages: Messages) -> ChatPrompt:
        """The prompt that asks for the next message; raises as `encode`."""
        return render_chat(_checked(messages), self.tokenizer)

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of tokens."""
        return str(self._decode(list(token_ids)))


def _checked(messages: Messages) -> list[ChatMessage]:
    try:
        return chat_messages(messages)
    except ValidationError as error:
        raise InvalidRequestError(f"the messages: {problems_of(error)}") from None
