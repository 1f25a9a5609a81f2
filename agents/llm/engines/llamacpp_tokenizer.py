"""A GGUF file's tokenizer and chat template, in the shape of transformers' ones."""

from collections.abc import Iterable
from typing import Any

from agents.llm.engines.llamacpp_socket import LlamaSocket

_NO_WIDTH = "\u200b"


class LlamaTokenizer:
    """Encodes texts and conversations.

    Attributes:
        chat_template: the file's own, None where it has none.
    """

    def __init__(
        self, socket: LlamaSocket, chat_template: str | None, special_texts: Iterable[str]
    ) -> None:
        self.chat_template = chat_template
        self._socket = socket
        self._special_texts = [text for text in special_texts if text]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, special ones among them, with what the model expects before it."""
        question = {"content": text, "add_special": True, "parse_special": True}
        return list(self._socket.ask("/tokenize", question)["tokens"])

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

        With `sanitize_control_tokens` texts of messages that read like special tokens are kept
        from being ones by a character without width. `variables` are the template's.

        Raises:
            LLMInferenceError: the template fails.
        """
        assert not return_dict, "there is no mask to return"
        question: dict[str, Any] = {
            "messages": self._plain(conversation) if sanitize_control_tokens else conversation,
            "add_generation_prompt": add_generation_prompt,
            "chat_template_kwargs": variables,
        }
        if tools:
            question["tools"] = tools
        prompt = self._socket.ask("/apply-template", question)["prompt"]
        return self.encode(prompt) if tokenize else prompt

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            for text in self._special_texts:
                value = value.replace(text, text[0] + _NO_WIDTH + text[1:])
            return value
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, dict):
            return {key: self._plain(each) for key, each in value.items()}
        return value
