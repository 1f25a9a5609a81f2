"""What a tokenizer should be trained to: the `config` of the train action, checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from agents.ml.config import StrictConfig, read_config
from agents.ml.errors import ConfigError, TokenizerError

TokenizerType = Literal["BPE", "WordPiece", "CharLevel"]

_ROLES = {  # how transformers calls it -> what people write
    "unk_token": ("[UNK]", "<unk>", "<UNK>"),
    "pad_token": ("[PAD]", "<pad>", "<PAD>"),
    "cls_token": ("[CLS]", "<cls>"),
    "sep_token": ("[SEP]", "<sep>"),
    "mask_token": ("[MASK]", "<mask>"),
    "bos_token": ("[BOS]", "<s>", "<bos>", "<|startoftext|>"),
    "eos_token": ("[EOS]", "</s>", "<eos>", "<|endoftext|>"),
}


class TokenizerConfig(StrictConfig):
    """A checked configuration.

    Attributes:
        type: `BPE` (of bytes: no text is ever unknown), `WordPiece` or `CharLevel`.
        vocab_size: at most this many tokens, special ones included.
        data_files: text files in UTF-8.
        special_tokens: get the first ids, in this order.
        min_frequency: rarer pairs are not merged; for CharLevel, rarer characters are unknown.
            None: 2, and 1 for CharLevel.
    """

    type: TokenizerType = "BPE"
    vocab_size: int = Field(default=30_000, ge=1, le=1_000_000)
    data_files: list[str] = Field(min_length=1)
    special_tokens: list[str] = Field(
        default_factory=lambda: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    )
    min_frequency: int | None = Field(default=None, ge=0, le=2**53)

    @classmethod
    def parse(cls, config: Mapping[str, Any] | None) -> Self:
        """Check `config`, a dictionary in the form of the tool's document.

        Raises:
            TokenizerError: it names every wrong key.
        """
        try:
            return read_config(cls, {} if config is None else config)
        except ConfigError as error:
            text = str(error).removeprefix(f"{error.where}: ")
            raise TokenizerError(text, where=error.where) from error

    @field_validator("special_tokens")
    @classmethod
    def _can_be_told_apart(cls, tokens: list[str], info: ValidationInfo) -> list[str]:
        if len(set(tokens)) < len(tokens):
            raise ValueError("a special token is there twice")
        if not all(token and token.isascii() and token.isprintable() for token in tokens):
            raise ValueError("special tokens are made of printable ASCII")  # others decode wrongly
        kind = info.data.get("type")
        if kind in {"WordPiece", "CharLevel"} and "unk_token" not in roles_of(tokens):
            raise ValueError(f"{kind} needs a token for what it does not know: add '[UNK]'")
        return tokens

    @property
    def least_frequency(self) -> int:
        """`min_frequency`, or what it is when not given."""
        if self.min_frequency is not None:
            return self.min_frequency
        return 1 if self.type == "CharLevel" else 2

    @property
    def unknown_token(self) -> str:
        """The token for what the vocabulary does not have."""
        return roles_of(self.special_tokens)["unk_token"]

    def paths(self, root: Path) -> list[Path]:
        """The corpus; relative names are below `root`."""
        return [root / name for name in self.data_files]


def roles_of(special_tokens: Iterable[str]) -> dict[str, str]:
    """Which token stands for what, by the name transformers has for it, e.g. `pad_token`."""
    tokens = list(special_tokens)
    found = {role: [t for t in tokens if t in names] for role, names in _ROLES.items()}
    return {role: candidates[0] for role, candidates in found.items() if candidates}
