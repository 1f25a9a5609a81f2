"""What a model's `config.json` says about its size; its architectures use many names for it."""

from collections.abc import Mapping
from typing import Any

DEFAULT_CONTEXT_WINDOW = 2048  # of a model that states none; a configuration may say another
WINDOW_NAMES = ("max_position_embeddings", "max_seq_len", "seq_length", "context_length")
_MOST = 1e9  # more is no size of anything
_WITHOUT_KEYS = {"linear_attention", "mamba", "conv", "recurrent"}  # kinds of layers


def text_facts(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that is about text, where the model reads pictures, too."""
    text = facts.get("text_config")
    return text if isinstance(text, Mapping) else facts


def cached_entries(facts: Mapping[str, Any]) -> int:
    """How many numbers the keys and values of a token are, in all layers; 0 without attention."""
    facts = text_facts(facts)
    heads = _number(
        facts, "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"
    )
    if not heads or "state_size" in facts:
        return 0
    width = hidden_size(facts)
    latent = _number(facts, "kv_lora_rank")
    if latent:  # keys and values are made of it when they are needed
        return _layers(facts) * (latent + _number(facts, "qk_rope_head_dim"))
    size = _number(facts, "head_dim") or width // heads
    return _layers(facts) * _key_heads(facts, heads) * 2 * size


def window(facts: Mapping[str, Any], wanted: int | None) -> int:
    """Tokens that a request may use."""
    stated = _number(text_facts(facts), *WINDOW_NAMES)
    return min(filter(None, (stated, wanted)), default=DEFAULT_CONTEXT_WINDOW)


def width_of_a_step(facts: Mapping[str, Any]) -> int:
    """About how many numbers a token is while a layer reads it."""
    facts = text_facts(facts)
    width = hidden_size(facts)
    inner = _number(facts, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
    return 4 * width + 3 * (inner or 4 * width)


def hidden_size(facts: Mapping[str, Any]) -> int:
    return _number(text_facts(facts), "hidden_size", "n_embd", "d_model")


def vocab_size(facts: Mapping[str, Any]) -> int:
    return _number(text_facts(facts), "vocab_size")


def _layers(facts: Mapping[str, Any]) -> int:
    kinds = facts.get("layer_types") or facts.get("block_types") or facts.get("layers_block_type")
    layers = _number(facts, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    layers -= _number(facts, "num_kv_shared_layers")
    with_keys = facts.get("attn_layer_indices")
    if isinstance(with_keys, list):
        return min(len(with_keys), layers)
    every = _number(facts, "attn_layer_period")
    if every:
        return layers // every
    if not isinstance(kinds, list) or not kinds:
        return layers
    return sum(str(kinds[index % len(kinds)]) not in _WITHOUT_KEYS for index in range(layers))


def _key_heads(facts: Mapping[str, Any], heads: int) -> int:
    if facts.get("model_type") == "falcon" and facts.get("new_decoder_architecture"):
        return heads  # it multiplies them before they are kept
    if facts.get("multi_query"):
        return 1
    return _number(facts, "num_key_value_heads") or heads


def _number(facts: Mapping[str, Any], *names: str) -> int:
    """The first that is there; the largest where layers differ."""
    for name in names:
        value = facts.get(name)
        listed = value if isinstance(value, list) else [value]
        numbers = [n for n in listed if isinstance(n, (int, float)) and 0 < n < _MOST]
        if numbers:
            return int(max(numbers))
    return 0
