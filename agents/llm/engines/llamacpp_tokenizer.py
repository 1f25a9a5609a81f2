"""A GGUF file's tokenizer and chat template, in the shape of transformers' ones."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.gguf_vocabulary import GgufVocabulary
from agents.llm.engines.llamacpp_socket import LlamaSocket

_NO_WIDTH = "\u200b"
_KEPT = 4096


class LlamaTokenizer:
    """Encodes texts and conversations.

    Attributes:
        chat_template: the file's own, None where it has none.
        template_error: why it cannot be used, None where it can.
        token_bytes: what each token spells; empty for one that is no plain text.
        special_texts: how the special ones are written, by token.
        added_texts: likewise those that were added to the vocabulary by hand.
    """

    def __init__(
        self, socket: LlamaSocket, chat_template: str | None, vocabulary: GgufVocabulary
    ) -> None:
        self.chat_template = chat_template
        self.template_error: str | None = None
        self.token_bytes = vocabulary.text_tokens
        self.special_texts = vocabulary.special_texts
        self.added_texts = vocabulary.added_texts
        self._socket = socket
        self._vocabulary = vocabulary
        self._control_texts = _control_texts(vocabulary, chat_template or "")

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, special ones among them, with what the model expects before it.

        Where the text begins with that already, it is not put before it again.
        """
        question = {"content": text, "add_special": True, "parse_special": True}
        ids = list(self._socket.ask("/tokenize", question)["tokens"])
        begin = self._vocabulary.begin_token_id
        return ids[1:] if ids[:2] == [begin, begin] else ids

    def written(self, token_id: int) -> bytes:
        """What a token spells; for a special one how it is written."""
        return self._vocabulary.written(token_id)

    def plain_encoder(self) -> Callable[[str], list[int]]:
        """Spells a text as it stands in the middle of another one, with no special token in it.

        It may outlive the tokenizer, and says nothing once the model is closed.
        """
        socket = self._socket

        def tokens(text: str) -> list[int]:
            question = {"content": text, "add_special": False, "parse_special": False}
            return list(socket.ask("/tokenize", question)["tokens"])

        @lru_cache(_KEPT)
        def encode(text: str) -> list[int]:
            try:
                before, both = tokens("\n"), tokens("\n" + text)
            except LLMInferenceError:
                return []
            return both[len(before) :] if both[: len(before)] == before else []

        return encode

    def apply_chat_template(
        self,
        conversation: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        sanitize_control_tokens: bool = False,
        return_dict: bool = False,
        **variables: Any,
    ) -> Any:
        """The prompt of a conversation, as text or as tokens.

        With `sanitize_control_tokens` texts in messages and tools that read like special tokens,
        or like others that the template writes, are kept from being ones by a character without
        width. `variables` are the template's.

        Raises:
            LLMInferenceError: the template fails.
        """
        assert not return_dict, "there is no mask to return"
        if self.template_error is not None:
            raise LLMInferenceError(self.template_error)
        given: dict[str, Any] = {"messages": conversation, "chat_template_kwargs": variables}
        if tools:
            given["tools"] = tools
        given = self._plain(given) if sanitize_control_tokens else given
        question = {**given, "add_generation_prompt": add_generation_prompt}
        prompt = self._socket.ask("/apply-template", question)["prompt"]
        return self.encode(prompt) if tokenize else prompt

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            for text in self._control_texts:
                value = value.replace(text, text[0] + _NO_WIDTH + text[1:])
            return value
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, dict):
            return {key: self._plain(each) for key, each in value.items()}
        return value


def _control_texts(vocabulary: GgufVocabulary, chat_template: str) -> list[str]:
    """Texts that would be more than text in a prompt."""
    added = vocabulary.added_texts.values()
    structural = (text for text in added if not text.isspace() and text in chat_template)
    return [text for text in (*vocabulary.special_texts.values(), *structural) if text]
