"""Jobs over text for child processes: gather a corpus, train, load and apply tokenizers."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from agents.ml.atomic_files import atomic_file
from agents.ml.errors import DatasetError, TokenizerError
from agents.ml.reporting import Report
from agents.ml.tokenizer.advice import advise, corpus_facts, sizes
from agents.ml.tokenizer.config import TokenizerConfig
from agents.ml.tokenizer.manager import pytorch_tokenizer_manager
from agents.ml.tokenizer.registry import TokenizerRegistry

_MOST_IDS = 250_000
_LEFT_OUT = {"__pycache__", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}


def collect_corpus(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Write the standard library's sources to `output_path`, sorted, up to `max_bytes`.

    A file that does not fit any more is left out whole, so that no source ends in the middle. The
    corpus appears under its name once it is complete.

    Raises:
        DatasetError: this Python came without its sources, none fits, or there is no room.
    """
    path, limit = Path(payload["output_path"]), int(payload["max_bytes"])
    try:
        with atomic_file(path, is_private=False, is_synced=False) as corpus:
            files = _write_sources(corpus, limit, report)
            size_bytes = corpus.tell()
    except OSError as error:
        raise DatasetError(
            f"cannot be written: {error.strerror}; nothing of it is left", where=str(path)
        ) from error
    return {"path": str(path), "size_bytes": size_bytes, "files": files}


def describe_corpus(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
    """What a sample of `data_files` shows (`facts`), the `advice` of arithmetic, and `sizes`.

    Payload besides: `special_tokens` and `type`, or None for what is usual and for any.

    Raises:
        TokenizerError: a file is missing or no UTF-8 text, or there is no text.
    """
    config = {"data_files": list(payload["data_files"])}
    if payload["special_tokens"] is not None:
        config["special_tokens"] = list(payload["special_tokens"])
    checked = TokenizerConfig.parse(config)
    facts = corpus_facts(checked.paths(Path()))
    special = len(checked.special_tokens)
    advice = advise(facts, special, payload["type"])
    return {
        "facts": facts.as_dict(),
        "advice": {
            "type": advice.type,
            "vocab_size": advice.vocab_size,
            "reasons": list(advice.reasons),
        },
        "sizes": sizes(facts, special),
    }


def manage_tokenizer(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """`pytorch_tokenizer_manager`; for `apply` also the `pieces` of text behind the ids."""
    arguments = dict(payload)
    registry = TokenizerRegistry(Path(arguments.pop("registry")))
    result = pytorch_tokenizer_manager(**arguments, registry=registry, report=report)
    if arguments["action"] == "apply":
        given = arguments["text_input"]
        texts = [given] if isinstance(given, str) else given
        tokenizer = registry.get(arguments["tokenizer_name"])
        if sum(map(len, result["input_ids"])) > _MOST_IDS:
            problem = (
                f"gives more than {_MOST_IDS:,} ids, too many for one answer; give fewer texts"
            )
            raise TokenizerError(problem, where="text_input")
        result["pieces"] = [
            [text[start:end] for start, end in tokenizer.encode(text).offsets] for text in texts
        ]
    return result


def _write_sources(corpus: BinaryIO, limit: int, report: Report) -> int:
    """Write as many as fit, and return how many those are."""
    files = 0
    for source in _sources():
        if corpus.tell() + len(source) > limit:
            break
        corpus.write(source)
        files += 1
        if files % 20 == 1:
            report({"done": corpus.tell(), "total": limit, "text": f"{files} files"})
    if not files:
        raise DatasetError(
            f"no source of the standard library in {sysconfig.get_path('stdlib')} fits into "
            f"{limit:,} bytes",
            where="max_bytes",
        )
    return files


def _sources() -> Iterator[bytes]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if _LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            text = path.read_bytes()
            if text.strip() and _is_utf8(text):
                yield text.rstrip() + b"\n\n\n"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
