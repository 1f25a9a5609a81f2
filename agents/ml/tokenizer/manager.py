"""The tokenizer tool: train, load and apply tokenizers by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.ml.errors import TokenizerError
from agents.ml.reporting import Report, no_report
from agents.ml.tokenizer.config import TokenizerConfig
from agents.ml.tokenizer.files import apply_tokenizer
from agents.ml.tokenizer.registry import TokenizerRegistry

ACTIONS = ("train", "load", "apply")


def pytorch_tokenizer_manager(  # noqa: PLR0917  the signature of its document
    action: str,
    tokenizer_name: str,
    config: dict[str, Any] | None = None,
    tokenizer_path: str | None = None,
    text_input: str | list[str] | None = None,
    hf_pretrained_id: str | None = None,
    *,
    registry: TokenizerRegistry,
    report: Report = no_report,
) -> dict[str, Any]:
    """Train, load or apply a tokenizer.

    Args:
        action: `train`, `load` or `apply`.
        tokenizer_name: under which it is registered.
        config: for `train`: type, vocab_size, data_files, special_tokens, min_frequency.
            For `apply`: `{"padding": True}` makes all rows equally long.
        tokenizer_path: where to save or find it; the registry's own folder unless given.
        text_input: what to tokenize.
        hf_pretrained_id: a model id on the Hugging Face hub to load the tokenizer of.
        registry: where the names are kept.
        report: told about the progress of a training; what it raises ends the training.

    Returns:
        For `train` status, tokenizer_name, tokenizer_path and vocab_size (as it came out); for
        `load` status, tokenizer_name and tokenizer_info; for `apply` input_ids and
        attention_mask, a list per text.

    Raises:
        TokenizerError: it names the argument, key or file at fault.
    """
    if action == "train":
        parsed = TokenizerConfig.parse(config)
        info = registry.train(tokenizer_name, parsed, path=tokenizer_path, report=report)
        return {
            "status": "success",
            "tokenizer_name": tokenizer_name,
            "tokenizer_path": tokenizer_path or info.tokenizer_path,
            "vocab_size": info.vocab_size,
        }
    if action == "load":
        return _load(registry, tokenizer_name, tokenizer_path, hf_pretrained_id)
    if action == "apply":
        if text_input is None:
            raise TokenizerError("what should be tokenized is missing", where="text_input")
        tokenizer = registry.get(tokenizer_name)
        return {**apply_tokenizer(tokenizer, text_input, padding=_padding(config))}
    raise TokenizerError(f"{action!r} is not one of {', '.join(ACTIONS)}", where="action")


def train_job(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train in a process of its own, where it can be stopped at any moment.

    Args:
        payload: `registry` and `root` (folders), `tokenizer_name`, `config` and
            `tokenizer_path` as for `pytorch_tokenizer_manager`.
        report: told about the progress.
    """
    root = payload.get("root")
    return pytorch_tokenizer_manager(
        "train",
        payload["tokenizer_name"],
        config=payload["config"],
        tokenizer_path=payload.get("tokenizer_path"),
        registry=TokenizerRegistry(Path(payload["registry"]), root=Path(root) if root else None),
        report=report,
    )


def _load(
    registry: TokenizerRegistry, name: str, path: str | None, hf_pretrained_id: str | None
) -> dict[str, Any]:
    if path is not None and hf_pretrained_id is not None:
        raise TokenizerError("give a path or a hub id, not both", where="tokenizer_path")
    if path is not None:
        info = registry.add(name, path)
    elif hf_pretrained_id is not None:
        info = registry.add_pretrained(name, hf_pretrained_id)
    else:
        info = registry.info(name)
    return {"status": "success", "tokenizer_name": name, "tokenizer_info": info.as_dict()}


def _padding(config: Mapping[str, Any] | None) -> bool:
    options = dict(config or {})
    padding = options.pop("padding", False)
    if options:
        problem = "there is no such key for apply; only 'padding'"
        raise TokenizerError(problem, where=next(iter(options)))
    if not isinstance(padding, bool):
        raise TokenizerError(f"expected true or false, got {padding!r}", where="padding")
    return padding
