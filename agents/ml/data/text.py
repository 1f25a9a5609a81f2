"""Text as token ids: blocks for causal language models, padded rows for classification.

Suffixes: B batch, T time, N all tokens of a split.
"""

import random
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from tokenizers import Tokenizer
from torch import Tensor

from agents.ml.config import StrictConfig, require_known
from agents.ml.data.bundled import SplitParams
from agents.ml.data.dataset import Dataset, ResidentSource, Split, SplitName, check_num_classes
from agents.ml.data.files import require_file, what_it_is
from agents.ml.data.label_kinds import require_classes
from agents.ml.data.splits import stratified_split
from agents.ml.data.tabular import Delimiter, class_indices, read_csv, read_labels
from agents.ml.errors import ConfigError, DatasetError, TokenizerError
from agents.ml.tokenizer.corpus import open_text
from agents.ml.tokenizer.files import load_tokenizer, told_of_tokenizers, vocabulary_size

_SEGMENT_CHARS = 4096
_MAX_TEXT_BYTES = 1024**3
_END_TOKENS = ("<|endoftext|>", "</s>", "<eos>", "[EOS]", "<|end|>", "[SEP]")
_PAD_TOKENS = ("<pad>", "[PAD]", "<|padding|>", "<|pad|>")


class TokenizerRef(StrictConfig):
    """Where a tokenizer lies. A registered one has its `path` filled in before the job starts."""

    path: str | None = None
    name: str | None = None
    type: Literal["registered", "path"] = "path"


class TextParams(StrictConfig):
    """Files for a causal language model, cut into segments that are dealt to the splits."""

    data_path: list[str] = Field(min_length=1)
    tokenizer_config: TokenizerRef
    context_length: int = Field(default=128, ge=2, le=131_072)
    split: Literal["train"] = "train"
    val_fraction: float = Field(default=0.05, gt=0, lt=1)
    test_fraction: float = Field(default=0.05, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0)

    @field_validator("data_path", mode="before")
    @classmethod
    def _one_file_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class TextClassificationParams(SplitParams):
    """A CSV file with a column of text and a column of labels."""

    data_path: str
    tokenizer_config: TokenizerRef
    text_column: str = "text"
    label_column: str = "label"
    delimiter: Delimiter = ","
    max_length: int = Field(default=128, ge=1, le=131_072)


class TokenBlocks:
    """A stream of tokens seen as overlapping windows: inputs (B, T) and the tokens that follow."""

    def __init__(self, tokens_N: Tensor, bytes_N: Tensor, context_length: int) -> None:
        """Keep the stream; `bytes_N` says how many bytes of text each token stands for."""
        self.tokens_N, self.bytes_N, self.context_length = tokens_N, bytes_N, context_length
        self._window_T = torch.arange(context_length + 1, device=tokens_N.device)

    def __len__(self) -> int:
        return max(0, (len(self.tokens_N) - 1) // self.context_length)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        windows_BT = self.tokens_N[self._positions(indices_B)].long()
        return windows_BT[:, :-1], windows_BT[:, 1:]

    def target_bytes(self, indices_B: Tensor) -> int:
        """Return the bytes of text that the targets of these windows stand for."""
        return int(self.bytes_N[self._positions(indices_B)[:, 1:]].sum())

    def to(self, device: torch.device) -> "TokenBlocks":
        return TokenBlocks(self.tokens_N.to(device), self.bytes_N.to(device), self.context_length)

    def _positions(self, indices_B: Tensor) -> Tensor:
        starts_B1 = indices_B.to(self._window_T.device).unsqueeze(1) * self.context_length
        return starts_B1 + self._window_T


def end_token(tokenizer: Tokenizer) -> str | None:
    """Return the token that ends a text, by its usual names."""
    return next((t for t in _END_TOKENS if tokenizer.token_to_id(t) is not None), None)


def pad_token(tokenizer: Tokenizer) -> str | None:
    """Return the token that fills rows up, by its usual names."""
    return next((t for t in _PAD_TOKENS if tokenizer.token_to_id(t) is not None), None)


def load_text(params: TextParams, num_classes: int | None) -> Dataset:
    """Tokenize text files for a causal language model; `num_classes` is the size of the vocabulary.

    Raises:
        DatasetError: a file that is missing, no UTF-8 or empty; a split too small for one block.
        TokenizerError: the tokenizer cannot be loaded.
    """
    tokenizer = load_tokenizer(Path(_tokenizer_path(params.tokenizer_config)))
    vocab_size = check_num_classes(vocabulary_size(tokenizer), num_classes, where="num_classes")
    segments = [segment for path in params.data_path for segment in _segments(Path(path))]
    dealt = _deal(segments, params)

    def opener(name: SplitName) -> Split:
        source = _tokenize(dealt[name], tokenizer, params.context_length)
        if len(source) == 0:
            raise DatasetError(
                f"{len(source.tokens_N)} tokens are too few for a block of {params.context_length} "
                f"in the {name} split; give more text or a smaller context_length",
                where=params.data_path[0],
            )
        return Split(source, torch.arange(len(source)))

    return Dataset(
        "text",
        "causal_lm",
        (params.context_length,),
        vocab_size,
        {
            "train": lambda: opener("train"),
            "val": lambda: opener("val"),
            "test": lambda: opener("test"),
        },
    )


def load_text_classification(params: TextClassificationParams, num_classes: int | None) -> Dataset:
    """Token ids (T) cut or padded to `max_length`, and a class per row."""
    tokenizer = load_tokenizer(Path(_tokenizer_path(params.tokenizer_config)))
    path = Path(params.data_path)
    header, rows = read_csv(path, params.delimiter)
    for key, column in (("text_column", params.text_column), ("label_column", params.label_column)):
        require_known(column, header, what="column", where=key)
    labels = read_labels(rows, params.label_column, path)
    if num_classes is None:
        require_classes(labels, params.label_column, where=str(path))
    labels_N, names = class_indices(labels, num_classes)
    classes = check_num_classes(len(names), num_classes, where="num_classes")
    pad = pad_token(tokenizer)
    tokenizer.enable_truncation(params.max_length)
    tokenizer.enable_padding(
        length=params.max_length,
        pad_id=tokenizer.token_to_id(pad) if pad else 0,
        pad_token=pad or tokenizer.id_to_token(0),
    )
    with told_of_tokenizers(str(path)):
        encoded = tokenizer.encode_batch([row[params.text_column] for _, row in rows])
    ids_NT = torch.tensor([encoding.ids for encoding in encoded])
    if int(ids_NT.max()) >= vocabulary_size(tokenizer):  # put in by what is done after the tokens
        raise TokenizerError(
            f"it gives the id {int(ids_NT.max())}, but its vocabulary ends before "
            f"{vocabulary_size(tokenizer)}",
            where="dataset_params.tokenizer_config",
        )
    source = ResidentSource(ids_NT, labels_N)
    indices = stratified_split(
        labels_N,
        val_fraction=params.val_fraction,
        test_fraction=params.test_fraction,
        seed=params.split_seed,
    )
    return Dataset(
        "text_classification",
        "classification",
        (params.max_length,),
        classes,
        {
            "train": lambda: Split(source, indices["train"]),
            "val": lambda: Split(source, indices["val"]),
            "test": lambda: Split(source, indices["test"]),
        },
        names,
    )


def _tokenizer_path(ref: TokenizerRef) -> str:
    if ref.path is None:
        raise ConfigError(
            f"the tokenizer {ref.name!r} has no path: look it up in the registry first",
            where="dataset_params.tokenizer_config.path",
        )
    return ref.path


def _segments(path: Path) -> list[str]:
    """Cut a file at line ends into pieces of a few thousand characters."""
    require_file(path)
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise DatasetError(f"is larger than {_MAX_TEXT_BYTES} bytes", where=str(path))
        with open_text(path) as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise DatasetError(f"cannot be read: {what_it_is(path)}", where=str(path)) from error
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if not text.strip():
        raise DatasetError("holds no text", where=str(path))
    segments, start = [], 0
    while start < len(text):
        cut = text.rfind("\n", start, start + _SEGMENT_CHARS) + 1
        end = cut if cut > start else start + _SEGMENT_CHARS
        segments.append(text[start:end])
        start = end
    return segments


def _deal(segments: list[str], params: TextParams) -> dict[SplitName, list[str]]:
    if len(segments) < 3:  # noqa: PLR2004  # one for each split
        raise DatasetError(
            f"the corpus has {sum(map(len, segments))} characters, too few to be split in three",
            where=params.data_path[0],
        )
    order = list(range(len(segments)))
    random.Random(params.split_seed).shuffle(order)  # noqa: S311  # a split, not a secret
    n_val = max(1, round(len(order) * params.val_fraction))
    n_test = max(1, round(len(order) * params.test_fraction))
    shares: dict[SplitName, list[int]] = {
        "val": order[:n_val],
        "test": order[n_val : n_val + n_test],
        "train": order[n_val + n_test :],
    }
    return {name: [segments[i] for i in sorted(share)] for name, share in shares.items()}


def _tokenize(segments: list[str], tokenizer: Tokenizer, context_length: int) -> TokenBlocks:
    ids: list[int] = []
    sizes: list[int] = []
    end = end_token(tokenizer)
    end_id = None if end is None else tokenizer.token_to_id(end)
    end_ids = [] if end_id is None else [end_id]
    unknown = _unknown_id(tokenizer)
    with told_of_tokenizers("the corpus"):
        encodings = tokenizer.encode_batch(segments, add_special_tokens=False)
    for segment, encoding in zip(segments, encodings, strict=True):
        found = [*encoding.ids, *end_ids]
        ends = [reached for _, reached in encoding.offsets] + [len(segment)] * len(end_ids)
        told = zip(found, _bytes_per_token(segment, ends), strict=True)
        sizes += [0 if token == unknown else size for token, size in told]
        ids += found
    return TokenBlocks(
        torch.tensor(ids, dtype=torch.int32), torch.tensor(sizes, dtype=torch.int32), context_length
    )


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """The token that tells nothing of the text it stands for: no byte of it is predicted."""
    token = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)


def _bytes_per_token(text: str, ends: list[int]) -> list[int]:
    """Share out the bytes of `text` to tokens that end there.

    What lies between two tokens counts with the second, what follows the last with that. A
    character that is split into several tokens counts once, so that the sum is exact.
    """
    sizes, reached = [], 0
    for end in [*ends[:-1], len(text)] if ends else []:
        sizes.append(len(text[reached:end].encode()) if end > reached else 0)
        reached = max(reached, end)
    return sizes
