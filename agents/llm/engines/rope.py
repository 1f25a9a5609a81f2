"""Position embeddings that change with the length of what is read.

Models with them give the same token another position when the text grows beyond a limit, and keep
what they computed for the longest text so far: answers must not share a forward there.
"""

from typing import Any

from transformers import GenerationMixin

_DYNAMIC, _LONG = "dynamic", "longrope"


def changing_ropes(model: Any) -> list[Any]:
    """The modules that remember for how long a text they have been computed."""
    return [module for module in model.modules() if _DYNAMIC in _kinds(module)]


def reset_ropes(modules: list[Any]) -> None:
    """Make them forget it."""
    for module in modules:
        if isinstance(module.rope_type, str):
            module.max_seq_len_cached = module.original_max_seq_len
            module.register_buffer(
                "inv_freq", module.original_inv_freq.to(module.inv_freq.device), persistent=False
            )


def length_limit(model: Any) -> int | None:
    """How many tokens may be read before positions change; None where they never do."""
    limits = [_limit(module) for module in model.modules() if _kinds(module) & {_DYNAMIC, _LONG}]
    return min(limits, default=None)


def stretch(config: Any) -> float:
    """By how much a text may be longer than the positions a model was trained with."""
    parameters = getattr(config, "rope_parameters", None) or {}
    is_dynamic = parameters.get("rope_type") == _DYNAMIC
    return float(parameters.get("factor") or 1.0) if is_dynamic else 1.0


def rereads(model: Any) -> bool:
    """Whether `generate` reads a text anew when it passes the limit."""
    kinds = set().union(*(_kinds(module) for module in model.modules()))
    own = type(model).prepare_inputs_for_generation
    return _LONG in kinds and own is not GenerationMixin.prepare_inputs_for_generation


def _kinds(module: Any) -> set[str]:
    kind = getattr(module, "rope_type", None)
    if isinstance(kind, str):
        return {kind}
    return {k for k in kind.values() if isinstance(k, str)} if isinstance(kind, dict) else set()


def _limit(module: Any) -> int:
    parameters = getattr(module.config, "rope_parameters", None) or {}
    stated = [parameters, *(p for p in parameters.values() if isinstance(p, dict))]
    limits = [p.get("original_max_position_embeddings") for p in stated]
    return int(min((n for n in limits if n), default=module.original_max_seq_len))
