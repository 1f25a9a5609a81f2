"""Small real tokenizers of the kinds that models have, trained on the spot."""

import json
import re
from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agents.llm.structured import Vocabulary, vocabulary_of
from tests.llm.tiny_phi import CORPUS

KINDS = ("byte-level", "llama", "unigram", "wordpiece")

END = "<|im_end|>"
SPECIAL = ["<unk>", "<|im_start|>", END, "<tool>"]

_JSON = [
    json.dumps(value, ensure_ascii=False)
    for value in (
        {"name": "Ada Lovelace", "age": 36, "tags": ["mathematics", "engine"], "is_active": True},
        {"type": "object", "children": [], "price": 19.99, "created": "2024-02-29T12:30:00Z"},
        {"city": "Zürich", "country": "Schweiz", "zip": "8001", "email": None, "ok": False},
        {"name": "get_weather", "arguments": {"location": "Paris", "unit": "celsius"}},
        [[1, 2, 3], [4.5, -6.25, 0], {"a": {"b": {"c": [True, False, None]}}}],
    )
]
CORPUS_LINES = [*CORPUS, *_JSON] * 4


def alphabet() -> list[str]:
    """Each printable ASCII sign."""
    return [chr(code) for code in range(0x21, 0x7F)]


@cache
def tokenizer(kind: str) -> Any:
    """A fast Hugging Face tokenizer; `<tool>` is an added token that is not special."""
    make = {
        "byte-level": _byte_level,
        "llama": _llama,
        "unigram": _unigram,
        "wordpiece": _wordpiece,
    }[kind]
    backend = make()
    wrap: Any = PreTrainedTokenizerFast
    wrapped = wrap(tokenizer_object=backend, unk_token="<unk>", eos_token=END)
    wrapped.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    wrapped.add_tokens(["<tool>"])
    return wrapped


@cache
def vocabulary(kind: str) -> Vocabulary:
    return vocabulary_of(tokenizer(kind))


def _byte_level() -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=SPECIAL[:3],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS_LINES, trainer)
    return backend


def _llama() -> Tokenizer:
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=[*SPECIAL[:3], *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=[*alphabet(), "▁"],
        show_progress=False,
        max_token_length=12,
    )
    backend.train_from_iterator(CORPUS_LINES, trainer)
    return _without_special_bytes(backend)


def _without_special_bytes(backend: Tokenizer) -> Tokenizer:
    """The bytes as plain entries of the vocabulary, as llama's files have them."""
    data = json.loads(backend.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def _unigram() -> Tokenizer:
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400,
        special_tokens=SPECIAL[:3],
        initial_alphabet=[*alphabet(), "▁"],
        unk_token="<unk>",
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS_LINES, trainer)
    return backend


def _wordpiece() -> Tokenizer:
    """From a list: the training of WordPiece is not repeatable."""
    signs = [*alphabet(), *"äöüßé今日は"]
    words = [w for line in CORPUS_LINES[: len(CORPUS_LINES) // 4] for w in re.findall(r"\w+", line)]
    pieces = [*SPECIAL[:3], *signs, *(f"##{sign}" for sign in signs)]
    pieces += [w for w in dict.fromkeys(words) if len(w) > 2]
    pieces += ["##ing", "##er", "##ed", "##ation", "##ly"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    backend.add_special_tokens(SPECIAL[:3])
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend
