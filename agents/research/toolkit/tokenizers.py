"""The tool that trains, loads and applies tokenizers."""

from typing import Any

from agents.research.messages import AdviseTokenizer, ManageTokenizer, TokenizerAdvised
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked
from agents.research.writing.tokenizers import advise, manage_tokenizer

_TOKENIZER_KEYS = (
    "status",
    "tokenizer_name",
    "tokenizer_path",
    "vocab_size",
    "tokenizer_info",
    "advice",
)
_ENCODING_KEYS = ("input_ids", "attention_mask")


class TokenizerTools(Calls):
    """The tokenizer manager."""

    def pytorch_tokenizer_manager(  # noqa: PLR0917  the signature of its document
        self,
        action: str,
        tokenizer_name: str,
        config: dict[str, Any] | None = None,
        tokenizer_path: str | None = None,
        text_input: str | list[str] | None = None,
        hf_pretrained_id: str | None = None,
    ) -> dict[str, Any]:
        """Train, load or apply a tokenizer; `action` says which of the other arguments are read.

        Returns:
            For `train` status, tokenizer_name, tokenizer_path and vocab_size (as it came out), and
            `advice`, if type or vocab_size were not said and taken from it; for
            `load` status, tokenizer_name and tokenizer_info; for `apply` input_ids and
            attention_mask, a list per text.

        Raises:
            WorkRefusedError: names the argument, key or file at fault.
        """
        request = asked(
            ManageTokenizer,
            action=action,
            tokenizer_name=tokenizer_name,
            config=config,
            tokenizer_path=tokenizer_path,
            text_input=text_input,
            hf_pretrained_id=hf_pretrained_id,
        )
        work = manage_tokenizer(self._jobs, self._llm, request, self._audience)
        result = self._loop.run(work).result
        keys = _ENCODING_KEYS if action == "apply" else _TOKENIZER_KEYS
        return {key: result[key] for key in keys if key in result}

    def advise_tokenizer(self, data_files: list[str]) -> TokenizerAdvised:
        """Recommend type and vocab_size for text files, with reasons, and say who chose.

        Raises:
            WorkRefusedError: names the file at fault.
        """
        request = asked(AdviseTokenizer, data_files=data_files)
        return self._loop.run(advise(self._jobs, self._llm, request, self._audience))
