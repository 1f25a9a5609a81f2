"""Models on the Hugging Face hub: whether they are there, or in the local cache."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from agents.llm.engines.saved_folder import CONFIG
from agents.llm.wizard.found import AnswerError, Found
from guild.errors import MissingExtraError

_TIMEOUT_S = 8.0


def look_on_hub(model_id: str) -> Found:
    """The model of an id. Where the hub cannot be asked, that is a warning.

    Raises:
        AnswerError: the hub has no such model, or does not give it to this user.
        MissingExtraError: there is no huggingface_hub to ask with.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtraError(f"{model_id}, a model on the hub,", "torch", ["transformers"])
    from huggingface_hub import HfApi, errors, try_to_load_from_cache  # noqa: PLC0415  an extra

    if isinstance(try_to_load_from_cache(model_id, CONFIG), str):
        return Found(model_id, ("transformers",), "in the local cache of the hub")
    try:
        info = HfApi().model_info(model_id, timeout=_TIMEOUT_S)
    except errors.GatedRepoError as error:
        raise AnswerError(f"{model_id} is gated: ask for access on the hub, then log in") from error
    except errors.RepositoryNotFoundError as error:
        raise AnswerError(f"the hub has no model {model_id}, or you may not see it") from error
    except Exception as error:  # noqa: BLE001  of whatever its HTTP library raises
        warning = (
            f"the hub cannot be asked for {model_id} ({type(error).__name__}), and it is not in "
            "the local cache; it is fetched when it is loaded"
        )
        return Found(model_id, ("transformers",), "on the hub, unseen", warnings=(warning,))
    _check_files(model_id, [file.rfilename for file in info.siblings or ()])
    return Found(model_id, ("transformers",), "on the hub", weight_bytes=_weight_bytes(info))


def _check_files(model_id: str, names: Sequence[str]) -> None:
    """See that the hub has a model there that transformers loads by its id."""
    if not names or CONFIG in names:
        return
    ggufs = sorted(name for name in names if name.endswith(".gguf"))
    hint = "choose one that has"
    if ggufs:
        first = ggufs[0]
        hint = (
            f"it has GGUF files: download one (`hf download {model_id} {first}`), and give its path"
        )
    raise AnswerError(f"{model_id} has no {CONFIG}, which transformers needs; {hint}")


def _weight_bytes(info: Any) -> int:
    safetensors = getattr(info, "safetensors", None)
    by_type = getattr(safetensors, "parameters", None) or {}
    sizes = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 4, "BF16": 2}  # F16 becomes float32
    return sum(count * sizes.get(name, 1) for name, count in by_type.items())
