"""The tokens of a GGUF file: how they are spelt, and which of them are special."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.llm.engines.errors import ModelDamagedError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
# Texts that end an answer wherever they are special, as llama.cpp has them.
_END_TEXTS = frozenset(
    b"<|eot_id|> <|im_end|> <|end|> <end_of_turn> <|endoftext|> <|end_of_text|> <|eom_id|> "
    b"<EOT> _<EOT> </s> <|return|> <|call|> <turn|>".split()
)
_REPLACEMENT = "\ufffd"
_ODD_BYTES = [bytes([byte]) for byte in range(0xFF, 0x7F, -1)]
_MAX_GAP = 32


class GgufVocabulary:
    """Tokens by id.

    Attributes:
        special_texts: how the tokens are written that are no text.
        added_texts: likewise for those that were added by hand, which are text.
        begin_token_id: the one that stands before a text, None where there is none.
        end_token_ids: those that end an answer.
        text_tokens: what the tokens of plain text spell, empty for all others: special ones, and
            those that were added to the vocabulary by hand.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        kind = metadata.get("tokenizer.ggml.model")
        tokens = metadata.get("tokenizer.ggml.tokens")
        if kind not in _SPELLINGS or not isinstance(tokens, list) or not tokens:
            raise ModelDamagedError(
                f"the GGUF file's tokenizer is {kind!r}, which is not one of "
                f"{', '.join(map(repr, _SPELLINGS))}; choose another model"
            )
        spell = _SPELLINGS[kind]
        types = metadata.get("tokenizer.ggml.token_type") or (_NORMAL,) * len(tokens)
        self._tokens: list[bytes] = []
        self.text_tokens: list[bytes] = []
        self.special_texts: dict[int, str] = {}
        self.added_texts: dict[int, str] = {}
        self.begin_token_id: int | None = metadata.get("tokenizer.ggml.bos_token_id")
        for token_id, (text, token_type) in enumerate(zip(tokens, types, strict=False)):
            is_special = token_type in (_CONTROL, _UNKNOWN)
            if is_special:
                self.special_texts[token_id] = text.decode(errors="replace")
            elif token_type == _USER_DEFINED:
                self.added_texts[token_id] = text.decode(errors="replace")
            self._tokens.append(b"" if is_special else spell(text, token_type))
            is_text = token_type in (_NORMAL, _BYTE)
            self.text_tokens.append(self._tokens[-1] if is_text else b"")
        if len(self._tokens) != len(tokens):
            raise ModelDamagedError("the GGUF file has more tokens than types of tokens")
        ends = {metadata.get(f"tokenizer.ggml.{key}") for key in _END_KEYS}
        ends |= {i for i in self.special_texts if tokens[i] in _END_TEXTS}
        self.end_token_ids = frozenset(i for i in ends if i is not None and i < len(tokens))
        self._ids: dict[bytes, int] | None = None

    def __len__(self) -> int:
        return len(self._tokens)

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return b"".join([self._tokens[i] for i in token_ids]).decode(errors="replace")

    def written(self, token_id: int) -> bytes:
        """What a token spells; for a special one how it is written."""
        return self._tokens[token_id] or self.special_texts.get(token_id, "").encode()

    def spell_before(self, text: str, last: Sequence[int], count: int) -> list[int]:
        """So many tokens that stand before the tokens `last` and make up `text` with them.

        Where that is not known, because the text is no Unicode or breaks off inside of a character,
        they are single bytes that stand for no character.

        Raises:
            ModelDamagedError: the vocabulary has none of either kind.
        """
        if self._ids is None:
            self._ids = {token: i for i, token in reversed(list(enumerate(self._tokens))) if token}
        odd = next((byte for byte in _ODD_BYTES if byte in self._ids), b"")
        after = b"".join(self._tokens[i] for i in last)
        data = odd.join(part.encode() for part in text.split(_REPLACEMENT))
        if data.endswith(after) and count <= _MAX_GAP:
            found = _split(data.removesuffix(after), count, self._ids)
            if found is not None:
                return found
        if not odd:
            raise ModelDamagedError(f"no {count} tokens spell what stands in {text!r}")
        return [self._ids[odd]] * count


def _split(data: bytes, count: int, ids: Mapping[bytes, int]) -> list[int] | None:
    """`data` as exactly `count` tokens, the longest first."""
    if count == 0 or len(data) < count:
        return [] if count == 0 and not data else None
    for length in range(len(data) - count + 1, 0, -1):
        token_id = ids.get(data[:length])
        if token_id is not None:
            rest = _split(data[length:], count - 1, ids)
            if rest is not None:
                return [token_id, *rest]
    return None


def _byte_level(text: bytes, token_type: int) -> bytes:
    """A token of byte-level BPE writes each byte as a printable character."""
    characters = text.decode(errors="replace")
    if token_type != _NORMAL or any(c not in _BYTES for c in characters):
        return text
    return bytes(_BYTES[c] for c in characters)


def _sentence_piece(text: bytes, token_type: int) -> bytes:
    """A token of SentencePiece writes a space as ▁, and single bytes as <0x0A>."""
    if token_type == _BYTE:
        return bytes.fromhex(text[3:5].decode(errors="replace"))
    return text.decode(errors="replace").replace("▁", " ").encode()


def _byte_characters() -> dict[str, int]:
    """GPT-2's table: printable bytes stand for themselves, the others come behind U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(0x100 + n): b for n, b in enumerate(others)}


_BYTES = _byte_characters()
_SPELLINGS: dict[Any, Callable[[bytes, int], bytes]] = {
    "gpt2": _byte_level,
    "llama": _sentence_piece,
    "t5": _sentence_piece,
}
