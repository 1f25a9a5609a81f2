"""Training tokenizers, such that the same text gives the same tokenizer, every time.

BPE works on bytes, so nothing is ever unknown and decoding gives back any text exactly.
WordPiece training is not deterministic in the library (its alphabet comes out of a hash map):
here the alphabet is given to it, sorted. CharLevel is a vocabulary of characters.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from agents.ml.errors import TokenizerError
from agents.ml.reporting import Report
from agents.ml.tokenizer.config import TokenizerConfig
from agents.ml.tokenizer.corpus import Corpus

_CONTINUATION = "##"
# Merging takes the square of a word's length: a megabyte without a blank would never end.
_LONGEST_WORD = 512
_BLANKS = re.compile(r"[ \t\r\n]+")  # what every pre-tokenizer splits at


def train_tokenizer(config: TokenizerConfig, *, root: Path, report: Report) -> Tokenizer:
    """Learn a tokenizer from the files of `config`.

    The merging itself can be neither observed nor interrupted: run it in a process of its own
    (`train_job`) where it may have to be stopped.

    Args:
        config: what to learn.
        root: relative data files are below it.
        report: told what is going on; what it raises ends the training between two pieces.

    Raises:
        TokenizerError: a file is missing, empty or not UTF-8, or `vocab_size` is too small.
    """
    corpus = Corpus(config.paths(root), report)
    corpus.check()
    return _TRAINERS[config.type](config, corpus)


def _train_bpe(config: TokenizerConfig, corpus: Corpus) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _check_vocab_size(config, len(alphabet), "bytes")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _cutting(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.least_frequency,
        special_tokens=config.special_tokens,
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_pieces(corpus), trainer)
    return tokenizer


def _train_wordpiece(config: TokenizerConfig, corpus: Corpus) -> Tokenizer:
    alphabet = _wordpiece_alphabet(corpus, config.special_tokens)
    _check_vocab_size(config, len(alphabet), "characters at the start and inside of words")
    unknown = config.unknown_token
    seeded = [*config.special_tokens, *alphabet]
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.pre_tokenizer = _cutting(pre_tokenizers.BertPreTokenizer())
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.least_frequency,
        special_tokens=seeded,
        show_progress=False,
        continuing_subword_prefix=_CONTINUATION,
    )
    tokenizer.train_from_iterator(_pieces(corpus), trainer)
    # Once more from the vocabulary: the alphabet must not stay special.
    # By default it would give up on a word of more than 100 characters, known ones or not.
    longest = {"max_input_chars_per_word": _LONGEST_WORD}
    rebuilt = Tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token=unknown, **longest))
    rebuilt.pre_tokenizer = _cutting(pre_tokenizers.BertPreTokenizer())
    rebuilt.decoder = decoders.WordPiece(prefix=_CONTINUATION, cleanup=False)
    rebuilt.add_special_tokens(config.special_tokens)
    return rebuilt


def _train_charlevel(config: TokenizerConfig, corpus: Corpus) -> Tokenizer:
    _check_vocab_size(config, 1, "character")
    counts: Counter[str] = Counter()
    for piece in corpus.pieces("reading"):
        counts.update(piece)
    often = [(-n, char) for char, n in counts.items() if n >= config.least_frequency]
    room = config.vocab_size - len(config.special_tokens)
    chars = [char for _, char in sorted(often)[:room] if char not in config.special_tokens]
    vocab = {token: i for i, token in enumerate([*config.special_tokens, *chars])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=config.unknown_token))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m)."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(config.special_tokens)
    return tokenizer


_TRAINERS = {"BPE": _train_bpe, "WordPiece": _train_wordpiece, "CharLevel": _train_charlevel}


def _cutting(words: pre_tokenizers.PreTokenizer) -> pre_tokenizers.PreTokenizer:
    """The same words, the longest of them cut to pieces."""
    cut = pre_tokenizers.Split(Regex(f"(?m).{{1,{_LONGEST_WORD}}}"), "isolated")
    return pre_tokenizers.Sequence([words, cut])


def _pieces(corpus: Corpus) -> Iterable[str]:
    yield from corpus.pieces("reading")
    corpus.report({"stage": "training"})


def _wordpiece_alphabet(corpus: Corpus, special_tokens: Iterable[str]) -> list[str]:
    words: set[str] = set()
    for piece in corpus.pieces("alphabet"):
        words.update(_BLANKS.split(piece))
    split = pre_tokenizers.BertPreTokenizer()
    starts: set[str] = set()
    insides: set[str] = set()
    for word in words:
        for part, _ in split.pre_tokenize_str(word):
            starts.add(part[0])
            insides.update(part[1:])
    alphabet = [*sorted(starts), *(_CONTINUATION + char for char in sorted(insides))]
    taken = set(special_tokens)
    return [token for token in alphabet if token not in taken]


def _check_vocab_size(config: TokenizerConfig, alphabet: int, of: str) -> None:
    special = len(config.special_tokens)
    if config.vocab_size < special + alphabet:
        raise TokenizerError(
            f"{config.vocab_size} is too small: {special} special tokens and {alphabet} {of} "
            f"need at least {special + alphabet}",
            where="vocab_size",
        )
