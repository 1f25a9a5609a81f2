"""Which tokenizer suits a corpus, by arithmetic on a sample of it.

How many tokens a vocabulary should have is bounded from three sides: each token should be seen
often enough to be learned (some hundred times: Gowda and May 2020, "Finding the optimal vocabulary
size for neural machine translation", arXiv:2004.02334), there should not be more tokens than
different words, and beyond some ten thousand the embedding is most of a small model.
"""

import codecs
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.ml.errors import TokenizerError
from agents.ml.reporting import no_report
from agents.ml.tokenizer.config import TokenizerType
from agents.ml.tokenizer.corpus import Corpus

SAMPLE_BYTES = 1 << 20
_PLACES = 8  # of each file
_WORD = re.compile(r"\S+")
_BYTES = 256
_OFTEN = 100
_MOST = 32_768
_STEP = 64
_HEAPS = 0.5  # different words grow with this power of the text
_LITTLE_TEXT_BYTES = 20_000
_LONG_WORD_CHARS, _SMALL_ALPHABET = 20, 64  # of texts such as genomes


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What a sample shows; a word is what stands between blanks.

    Attributes:
        size_bytes: of the whole corpus.
        words, distinct_words, seen_once: in the sample.
        mean_word_chars: token lengths, before there is a tokenizer.
    """

    size_bytes: int
    sample_bytes: int
    characters: int
    words: int
    distinct_words: int
    seen_once: int
    mean_word_chars: float
    longest_word_chars: int

    @property
    def diversity(self) -> float:
        """How many of the words are different ones, from 0 to 1."""
        return self.distinct_words / self.words if self.words else 0.0

    @property
    def is_whole(self) -> bool:
        """Whether the sample is all there is."""
        return self.sample_bytes >= self.size_bytes

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "diversity": round(self.diversity, 4)}


@dataclass(frozen=True, slots=True)
class TokenizerAdvice:
    """A type, a size, and a sentence for each."""

    type: TokenizerType
    vocab_size: int
    reasons: tuple[str, ...]


def corpus_facts(paths: Sequence[Path]) -> CorpusFacts:
    """Measure a sample of at most a mebibyte, from places all over the files.

    Raises:
        TokenizerError: a file is missing or no UTF-8 text, or there is no text.
    """
    Corpus(paths, no_report).check()
    each = max(1, SAMPLE_BYTES // len(paths) // _PLACES)
    characters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    sample_bytes = 0
    for piece in (piece for path in paths for piece in _sampled(path, each)):
        sample_bytes += len(piece.encode())
        characters.update(piece)
        words.update(_WORD.findall(piece))
    count = sum(words.values())
    return CorpusFacts(
        size_bytes=sum(path.stat().st_size for path in paths),
        sample_bytes=sample_bytes,
        characters=len(characters),
        words=count,
        distinct_words=len(words),
        seen_once=sum(1 for times in words.values() if times == 1),
        mean_word_chars=round(sum(len(w) * n for w, n in words.items()) / max(1, count), 2),
        longest_word_chars=max(map(len, words), default=0),
    )


def advise(
    facts: CorpusFacts, special_tokens: int, kind: TokenizerType | None = None
) -> TokenizerAdvice:
    """Recommend a type, unless `kind` says it, and a size that counts `special_tokens`, too."""
    reasons = [] if kind else [_why(facts)]
    kind = kind or ("CharLevel" if _is_for_characters(facts) else "BPE")
    size, reason = _size(facts, special_tokens, kind)
    return TokenizerAdvice(kind, size, (*reasons, reason))


def sizes(facts: CorpusFacts, special_tokens: int) -> list[int]:
    """The sizes to choose from, in steps of two: every type can have each of them."""
    least = special_tokens + max(_BYTES, 2 * facts.characters) + _STEP
    powers = (2**power for power in range(8, 16))
    return [size for size in powers if size >= least] or [_rounded(least)]


def _is_for_characters(facts: CorpusFacts) -> bool:
    is_one_sequence = facts.mean_word_chars > _LONG_WORD_CHARS
    is_unbroken = is_one_sequence and facts.characters <= _SMALL_ALPHABET
    return is_unbroken or facts.size_bytes < _LITTLE_TEXT_BYTES


def _why(facts: CorpusFacts) -> str:
    if not _is_for_characters(facts):
        return (
            f"BPE: words of {facts.mean_word_chars:g} characters on average repeat (of "
            f"{facts.words:,} in the sample {facts.distinct_words:,} are different), and bytes "
            "leave no text unknown"
        )
    if facts.size_bytes < _LITTLE_TEXT_BYTES:
        return f"CharLevel: {facts.size_bytes:,} bytes are too few to learn parts of words from"
    return (
        f"CharLevel: {facts.characters} different characters, and words of "
        f"{facts.mean_word_chars:g} of them: there are no words to speak of"
    )


def _size(facts: CorpusFacts, special_tokens: int, kind: TokenizerType) -> tuple[int, str]:
    if kind == "CharLevel":
        spare = 0 if facts.is_whole else facts.characters // 4
        size = special_tokens + facts.characters + spare
        room = f", and {spare} for those that the sample lacks" if spare else ""
        return size, f"{size}: {facts.characters} characters and {special_tokens} special{room}"
    grown = facts.size_bytes / max(1, facts.sample_bytes)
    alphabet = _BYTES if kind == "BPE" else 2 * facts.characters
    least = special_tokens + alphabet + _STEP
    bounds = {
        f"each token should be seen {_OFTEN} times": facts.words * grown / _OFTEN,
        "there are no more different words": alphabet + facts.distinct_words * grown**_HEAPS,
        "more is mostly embedding": _MOST,
    }
    reason, bound = min(bounds.items(), key=lambda item: item[1])
    if bound < least:
        reason, bound = f"{alphabet} for the alphabet, {special_tokens} special and few more", least
    size = _rounded(bound)
    return size, f"{size}: {reason} in {facts.size_bytes:,} bytes"


def _rounded(size: float) -> int:
    return math.ceil(size / _STEP) * _STEP


def _sampled(path: Path, each_bytes: int) -> Iterator[str]:
    """Pieces of a file from evenly spaced places; all of a small one."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        if size_bytes <= each_bytes * _PLACES:
            yield _text(file.read().removeprefix(codecs.BOM_UTF8), path)
            return
        for place in range(_PLACES):
            file.seek(place * (size_bytes - each_bytes) // (_PLACES - 1))
            yield _text(file.read(each_bytes).removeprefix(codecs.BOM_UTF8), path)


def _text(data: bytes, path: Path) -> str:
    """The text of a piece; characters that are cut at its ends are left out."""
    start = next((i for i, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)  # noqa: PLR2004
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data[start:])
    except UnicodeDecodeError as error:
        raise TokenizerError(f"not UTF-8 text: {error.reason}", where=str(path)) from error
