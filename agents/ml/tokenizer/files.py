"""Tokenizers as folders that transformers reads, too; and their use."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from agents.ml.atomic_files import write_text_atomically
from agents.ml.errors import TokenizerError
from agents.ml.tokenizer.config import roles_of

TOKENIZER_FILE = "tokenizer.json"
_MOST_TOKENS = 2**24
CONFIG_FILE = "tokenizer_config.json"


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """What there is to know about a saved tokenizer."""

    type: str
    vocab_size: int
    special_tokens: dict[str, int]
    tokenizer_path: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def save_tokenizer(tokenizer: Tokenizer, folder: Path, special_tokens: Sequence[str]) -> None:
    """Write `folder` so that `PreTrainedTokenizerFast.from_pretrained` loads it.

    Raises:
        TokenizerError: the folder cannot be written.
    """
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **roles_of(special_tokens),
    }
    try:
        write_text_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2), is_private=False)
        text = tokenizer.to_str(pretty=True)
        write_text_atomically(folder / TOKENIZER_FILE, text, is_private=False)
    except OSError as error:
        raise TokenizerError(f"cannot be written: {error.strerror}", where=str(folder)) from error


def load_tokenizer(path: Path) -> Tokenizer:
    """Read the tokenizer in a folder, or in a `tokenizer.json`.

    Raises:
        TokenizerError: there is none, or it is damaged.
    """
    file = path / TOKENIZER_FILE if path.is_dir() else path
    if not file.is_file():
        raise TokenizerError(f"there is no {TOKENIZER_FILE}", where=str(path))
    _require_small_ids(file)
    with told_of_tokenizers(str(file), "the tokenizer is damaged"):
        tokenizer = Tokenizer.from_file(str(file))
    # Saved settings must not cut, fill up or break up texts behind the caller's back.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if getattr(tokenizer.model, "dropout", None) is not None:
        tokenizer.model.dropout = None  # merges left out by chance: other ids each time
    return tokenizer


def _require_small_ids(file: Path) -> None:
    """Refuse ids for which the library would take memory by the gigabyte, and then never end.

    Raises:
        TokenizerError: naming the token; or it is no JSON object.
    """
    try:
        parts = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(
            f"the tokenizer is damaged: {error!r:.200}", where=str(file)
        ) from error
    model = parts.get("model") if isinstance(parts, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) else None
    for token, number in vocab.items() if isinstance(vocab, dict) else ():
        if isinstance(number, int) and number >= _MOST_TOKENS:
            raise TokenizerError(
                f"the tokenizer is damaged: {token!r:.40} has the id {number}, the largest is "
                f"{_MOST_TOKENS - 1:,}",
                where=str(file),
            )


@contextmanager
def told_of_tokenizers(where: str, problem: str = "cannot be tokenised") -> Iterator[None]:
    """Turn what the library raises, bare exceptions and panics of its own language, into ours."""
    try:
        yield
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"  # no Exception, and not exported
        if not is_panic and not isinstance(error, Exception):
            raise
        raise TokenizerError(f"{problem}: {error}", where=where) from error


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """How many rows an embedding needs: one more than the largest id, for ids may leave gaps."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def describe(tokenizer: Tokenizer, path: Path) -> TokenizerInfo:
    """Read off what kind of tokenizer it is and how large."""
    parts = json.loads(tokenizer.to_str())
    kind = parts["model"]["type"]
    splitter = (parts["pre_tokenizer"] or {}).get("type")
    added = sorted(tokenizer.get_added_tokens_decoder().items())
    return TokenizerInfo(
        type="CharLevel" if (kind, splitter) == ("WordLevel", "Split") else kind,
        vocab_size=vocabulary_size(tokenizer),
        special_tokens={token.content: i for i, token in added if token.special},
        tokenizer_path=str(path),
    )


def apply_tokenizer(
    tokenizer: Tokenizer, text_input: str | Sequence[str], *, padding: bool = False
) -> dict[str, list[list[int]]]:
    """Token ids and attention mask of each text, one row per text, even for a single one.

    Args:
        tokenizer: what to apply.
        text_input: a text or several.
        padding: make all rows as long as the longest, by the padding token and zeros in the mask.

    Raises:
        TokenizerError: something is no text, or there is no padding token.
    """
    texts = [text_input] if isinstance(text_input, str) else text_input
    _check_texts(texts)
    with told_of_tokenizers("text_input"):
        ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    mask = [[1] * len(row) for row in ids]
    if padding:
        pad_id = _pad_id(tokenizer)
        longest = max(map(len, ids), default=0)
        ids = [row + [pad_id] * (longest - len(row)) for row in ids]
        mask = [row + [0] * (longest - len(row)) for row in mask]
    return {"input_ids": ids, "attention_mask": mask}


def _check_texts(texts: Any) -> None:
    if not isinstance(texts, list | tuple):
        kind = type(texts).__name__
        raise TokenizerError(f"expected a text or a list of texts, got {kind}", where="text_input")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            problem = f"expected a text, got {type(text).__name__}"
            raise TokenizerError(problem, where=f"text_input[{i}]")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            problem = f"no valid Unicode: a lone surrogate at character {error.start}"
            raise TokenizerError(problem, where=f"text_input[{i}]") from error


def _pad_id(tokenizer: Tokenizer) -> int:
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    token = roles_of(special).get("pad_token")
    pad_id = None if token is None else tokenizer.token_to_id(token)
    if pad_id is None:
        raise TokenizerError("the tokenizer has no padding token like '[PAD]'", where="padding")
    return int(pad_id)
