"""What each token of a tokenizer spells, in bytes."""

import json
import re
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.llm.engines.errors import MissingDependencyError
from agents.llm.structured.errors import VocabularyError
from agents.llm.structured.expression import Ranges
from agents.llm.structured.notations import MARKERS
from agents.llm.structured.utf8 import byte_ranges

try:
    import llguidance
except ImportError as error:  # pragma: no cover  without the extra
    raise MissingDependencyError(
        "structured output needs llguidance: pip install 'guildbus[torch]' or 'guildbus[llamacpp]'"
    ) from error

MAX_TOKEN_BYTES = 500  # longer ones are never allowed: llguidance fails on very long tokens

_BYTE = re.compile("<0x[0-9A-F]{2}>")
INFINITE = 10**9
"""The cost in tokens of what cannot be spelt."""


@dataclass(frozen=True, slots=True, eq=False)
class TextTokens:
    """Tokens that are made of some characters alone.

    Attributes:
        lengths: how many characters each token has; -1 if it has others, too.
        first_bytes: the bytes that those characters begin with, as bits.
    """

    lengths: NDArray[np.int64]
    first_bytes: int


def byte_mask(low: int, high: int) -> int:
    """The bytes from `low` to `high` as bits."""
    return (1 << (high + 1)) - (1 << low)


class Vocabulary:
    """The tokens that may stand in an answer, and those that end it.

    Special and added tokens are no text, so they are never allowed in an answer; but those that
    are markers of tool calls and of reasoning spell these, where decoding shows them.

    Args:
        tokens: the bytes of each token by its id; empty for one that is no text.
        end_token_ids: the tokens that end an answer.
        encode: the tokenizer's own way to spell a text.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        end_token_ids: Iterable[int],
        encode: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        self.end_token_ids = frozenset(end_token_ids)
        outside = [i for i in self.end_token_ids if not 0 <= i < len(tokens)]
        if outside:
            raise VocabularyError(
                f"the tokenizer has no token {outside[0]}, which is to end answers"
            )
        self.tokens = [
            b"" if i in self.end_token_ids or len(token) > MAX_TOKEN_BYTES else token
            for i, token in enumerate(tokens)
        ]
        if not any(self.tokens):
            raise VocabularyError("no token of the tokenizer spells any text")
        self.size = len(self.tokens)
        self._ids_of: dict[bytes, list[int]] = {}
        for i, token in enumerate(self.tokens):
            if token:
                self._ids_of.setdefault(token, []).append(i)
        self._spelt = self._ids_of.keys()
        self._longest = max(len(token) for token in self._spelt)
        self._single_bytes = sorted(token[0] for token in self._spelt if len(token) == 1)
        self._characters = sorted({ord(c) for t in self._spelt if len(c := _character(t)) == 1})
        self._texts: dict[Ranges, TextTokens] = {}
        self.llguidance = llguidance.LLTokenizer(_Wrapper(self, encode))

    def costs(self, text: bytes) -> tuple[int, ...]:
        """How many tokens spell `text` from each position on, at least."""
        found = [0] * (len(text) + 1)
        for start in range(len(text) - 1, -1, -1):
            ends = range(start + 1, min(len(text), start + self._longest) + 1)
            found[start] = min(
                (1 + found[end] for end in ends if text[start:end] in self._spelt),
                default=INFINITE,
            )
        return tuple(min(cost, INFINITE) for cost in found)

    def spelling(self, text: bytes) -> list[int]:
        """The tokens that are this text."""
        return self._ids_of.get(text, [])

    def has_byte(self, low: int, high: int) -> bool:
        """Whether a token is one byte between these."""
        return _has(self._single_bytes, low, high)

    def has_character(self, low: int, high: int) -> bool:
        """Whether a token is one character between these code points."""
        return _has(self._characters, low, high)

    def spells_like(self, other: "Vocabulary") -> bool:
        """Whether each text token is the same one in the other; what ends answers may differ."""
        ends = self.end_token_ids | other.end_token_ids
        pairs = enumerate(zip(self.tokens, other.tokens, strict=False))
        return self.size == other.size and all(a == b or i in ends for i, (a, b) in pairs)

    def text_tokens(self, ranges: Ranges) -> "TextTokens":
        """The tokens that are made of these code points alone."""
        if ranges not in self._texts:
            self._texts[ranges] = _text_tokens(self.tokens, ranges)
        return self._texts[ranges]

    def spelt_by(self, token_ids: Iterable[int]) -> bytes:
        """The bytes of these tokens; end tokens have none."""
        return b"".join(self.tokens[i] for i in token_ids)


def vocabulary_of(
    tokenizer: Any,
    end_token_ids: Iterable[int] | None = None,
    shown: Collection[str] = (),
) -> Vocabulary:
    """The vocabulary of a tokenizer; takes a second for a large one.

    Args:
        tokenizer: a GGUF file's, or a fast one of Hugging Face's: byte-level BPE,
            SentencePiece-like (BPE or unigram) or WordPiece.
        end_token_ids: the tokens that end an answer; without them the tokenizer's own.
        shown: special tokens that are text in these answers.

    Raises:
        VocabularyError: it has no fast backend, or its tokens do not say what they spell.
    """
    if getattr(tokenizer, "token_bytes", None) is not None:
        own = _with_markers(tokenizer, shown)
        return Vocabulary(own, end_token_ids or (), tokenizer.plain_encoder())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise VocabularyError(
            f"{type(tokenizer).__name__} has no fast tokenizer; load it with AutoTokenizer"
        )
    spell = _speller(json.loads(backend.to_str()).get("decoder"))
    size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    tokens = [b""] * size
    added = backend.get_added_tokens_decoder()
    for text, i in backend.get_vocab(with_added_tokens=True).items():
        if i not in added:
            tokens[i] = spell(text)
        elif text in shown or (text in MARKERS and not added[i].special):
            tokens[i] = text.encode()
    if end_token_ids is None:
        end = tokenizer.eos_token_id
        end_token_ids = [] if end is None else [end]
    return Vocabulary(tokens, end_token_ids, _encoder(backend))


def _with_markers(tokenizer: Any, shown: Collection[str]) -> list[bytes]:
    """The tokens of a GGUF file, with those that are markers."""
    tokens = list(tokenizer.token_bytes)
    for i, text in (*tokenizer.special_texts.items(), *tokenizer.added_texts.items()):
        if text in shown or (text in MARKERS and i in tokenizer.added_texts):
            tokens[i] = text.encode()
    return tokens


def vocabulary_for(
    tokenizer: Any,
    end_token_ids: Iterable[int] | None = None,
    shown: Collection[str] = (),
) -> Vocabulary:
    """The same, made once for a tokenizer and kept as long as it; from any thread."""
    with _lock:
        kept = _kept.setdefault(tokenizer, {})
        ends = None if end_token_ids is None else frozenset(end_token_ids)
        key = (frozenset(shown), ends)
        if key not in kept:
            kept[key] = vocabulary_of(tokenizer, ends, shown)
        return kept[key]


_lock = threading.Lock()
_Key = tuple[frozenset[str], frozenset[int] | None]
_Kept = weakref.WeakKeyDictionary[Any, dict[_Key, Vocabulary]]
_kept: _Kept = weakref.WeakKeyDictionary()


class _Wrapper(llguidance.TokenizerWrapper):
    """The tokenizer as llguidance wants it."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(
        self, vocabulary: Vocabulary, encode: Callable[[str], Sequence[int]] | None
    ) -> None:
        # Grammars are kept beside a vocabulary for as long as it lives; none may hold it.
        self._vocabulary = weakref.ref(vocabulary)
        self._encode = encode
        # Behind the tokenizer's tokens stand one that ends answers for llguidance, and the bytes
        # that no token is: llguidance spells half a character, too, where it must come next.
        single = {token[0] for token in vocabulary.tokens if len(token) == 1}
        missing = [byte for byte in range(256) if byte not in single]
        self.eos_token_id = vocabulary.size
        self._byte_ids = {byte: vocabulary.size + 1 + at for at, byte in enumerate(missing)}
        self.tokens = [*vocabulary.tokens, b"<end>", *(bytes([byte]) for byte in missing)]
        self.special_token_ids = [vocabulary.size]

    def __call__(self, text: str | bytes) -> list[int]:
        data = text if isinstance(text, bytes) else text.encode()
        vocabulary = self._vocabulary()
        assert vocabulary is not None, "the follower of an answer holds its vocabulary"
        if self._encode is not None:
            ids = list(self._encode(data.decode(errors="replace")))
            if vocabulary.spelt_by(ids) == data:
                return ids
        return self._longest_tokens(vocabulary, data)

    def _longest_tokens(self, vocabulary: Vocabulary, data: bytes) -> list[int]:
        ids: list[int] = []
        at = 0
        while at < len(data):
            ends = range(min(len(data), at + MAX_TOKEN_BYTES), at, -1)
            spelt = ((end, vocabulary.spelling(data[at:end])) for end in ends)
            end, found = next(((end, found) for end, found in spelt if found), (at + 1, []))
            ids.append(found[0] if found else self._byte_ids[data[at]])
            at = end
        return ids


def _encoder(backend: Any) -> Callable[[str], Sequence[int]]:
    """Spells a text as it stands in the middle of another one, without a space put before it."""
    before = list(backend.encode("\n", add_special_tokens=False).ids)

    def encode(text: str) -> Sequence[int]:
        ids = list(backend.encode("\n" + text, add_special_tokens=False).ids)
        return ids[len(before) :] if before and ids[: len(before)] == before else ids

    return encode


def _speller(decoder: Any) -> Callable[[str], bytes]:
    parts = _decoder_parts(decoder)
    if "ByteLevel" in parts:
        return _spell_byte_level
    if "WordPiece" in parts:
        prefix = parts["WordPiece"].get("prefix", "##")
        return lambda text: text.removeprefix(prefix).encode()
    if "BPEDecoder" in parts:
        suffix = parts["BPEDecoder"].get("suffix", "</w>")
        return lambda text: text.replace(suffix, " ").encode()
    space = next((s for s in (_space_sign(parts)) if s), None)
    if space is not None:
        has_bytes = "ByteFallback" in parts

        def spell(text: str) -> bytes:
            if has_bytes and _BYTE.fullmatch(text):
                return bytes([int(text[3:5], 16)])
            return text.replace(space, " ").encode()

        return spell
    if not parts or set(parts) <= {"Fuse"}:
        return lambda text: text.encode()
    raise VocabularyError(
        f"tokens of a tokenizer with the decoder {' + '.join(parts)} do not say what they spell"
    )


def _space_sign(parts: dict[str, Any]) -> Iterable[str | None]:
    yield parts.get("Metaspace", {}).get("replacement")
    replace = parts.get("Replace", {})
    if replace.get("content") == " ":
        yield replace.get("pattern", {}).get("String")


def _decoder_parts(decoder: Any) -> dict[str, Any]:
    if decoder is None:
        return {}
    if decoder["type"] != "Sequence":
        return {decoder["type"]: decoder}
    return {part["type"]: part for part in decoder["decoders"]}


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's sign for each byte: itself where it can be printed, else one from 256 on."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printed]
    return {chr(b): b for b in printed} | {chr(256 + n): b for n, b in enumerate(others)}


_BYTE_OF = _byte_level_alphabet()


def _spell_byte_level(text: str) -> bytes:
    if all(sign in _BYTE_OF for sign in text):
        return bytes(_BYTE_OF[sign] for sign in text)
    return text.encode()


def _character(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return ""


def _text_tokens(tokens: Sequence[bytes], ranges: Ranges) -> TextTokens:
    inside = "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)
    is_text = re.compile(f"[{inside}]+").fullmatch
    texts = [_character(token) for token in tokens]
    lengths = np.array([len(text) if is_text(text) else -1 for text in texts], np.int64)
    first_bytes = 0
    for low, high in ranges:
        for _, _, parts in byte_ranges(low, high):
            first_bytes |= byte_mask(*parts[0])
    return TextTokens(lengths, first_bytes)


def _has(values: Sequence[int], low: int, high: int) -> bool:
    at = bisect_left(values, low)
    return at < len(values) and values[at] <= high
