"""Small random models of many families, each with what makes it special."""

from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

VOCAB_SIZE = 131
WINDOW = 16  # of sliding attention; shorter than the longest prompt


@dataclass(frozen=True)
class Family:
    """How to build one kind of model, and how its answers are decoded."""

    name: str
    config: str
    settings: dict[str, Any] = field(default_factory=dict)
    mode: str = "together"

    def build(self) -> Any:
        config = getattr(transformers, self.config)(**{**_COMMON, **self.settings})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config).eval()
            _enliven(model)
        model.generation_config.eos_token_id = None
        model.generation_config.pad_token_id = 0
        return model


def _enliven(model: Any) -> None:
    """Make greedy decoding varied: without this, random models repeat one token."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "conv" not in name:
                parameter.normal_(0, 0.2 if parameter.shape[-1] > 1 else 0.02)


_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_HEAD = {"head_dim": 8}
_OLD_NAMES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "n_ctx": 256}
_SLIDING = {"sliding_window": WINDOW, **_HEAD}
_MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}

FAMILIES = [
    Family("llama", "LlamaConfig"),
    Family(
        "llama with linear rope",
        "LlamaConfig",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
    ),
    Family(
        "llama with dynamic rope",
        "LlamaConfig",
        {
            "max_position_embeddings": 32,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 8.0},
        },
        "alone",
    ),
    Family("mistral with a sliding window", "MistralConfig", _SLIDING),
    Family("mistral without a window", "MistralConfig", {**_HEAD, "sliding_window": None}),
    Family("phi", "PhiConfig", {"num_key_value_heads": 4}),
    Family("phi3", "Phi3Config", {"sliding_window": None}),
    Family("phi3 with a sliding window", "Phi3Config", {"sliding_window": WINDOW}),
    Family(
        "phi3 with long rope",
        "Phi3Config",
        {
            "sliding_window": None,
            "original_max_position_embeddings": 32,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 1e4,
                "short_factor": [1.0] * 4,
                "long_factor": [4.0] * 4,
                "original_max_position_embeddings": 32,
            },
        },
        "alone",
    ),
    Family("gpt2", "GPT2Config", _OLD_NAMES),
    Family("gpt neox", "GPTNeoXConfig"),
    Family(
        "gpt neo with local attention",
        "GPTNeoConfig",
        {
            "num_layers": 2,
            "attention_types": [[["global", "local"], 1]],
            "window_size": WINDOW,
            "num_heads": 4,
        },
    ),
    Family("gptj", "GPTJConfig", {**_OLD_NAMES, "rotary_dim": 4}),
    Family("codegen", "CodeGenConfig", {**_OLD_NAMES, "rotary_dim": 4}),
    Family("gpt bigcode", "GPTBigCodeConfig", {**_OLD_NAMES, "multi_query": True}),
    Family("openai gpt without a cache", "OpenAIGPTConfig", _OLD_NAMES, "uncached"),
    Family("ctrl", "CTRLConfig", {**_OLD_NAMES, "dff": 48}),
    Family("opt", "OPTConfig", {"ffn_dim": 48, "word_embed_proj_dim": 32, "pad_token_id": 1}),
    Family("bloom with alibi", "BloomConfig", {"n_layer": 2, "n_head": 4}),
    Family(
        "mpt with alibi",
        "MptConfig",
        {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 256},
    ),
    Family(
        "old falcon with alibi",
        "FalconConfig",
        {
            "alibi": True,
            "new_decoder_architecture": False,
            "multi_query": False,
            "parallel_attn": False,
            "bias": True,
        },
    ),
    Family("falcon", "FalconConfig", {"new_decoder_architecture": False, "multi_query": True}),
    Family("new falcon", "FalconConfig", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    Family("gemma", "GemmaConfig", _HEAD),
    Family(
        "gemma2 with every other layer sliding",
        "Gemma2Config",
        {**_SLIDING, "query_pre_attn_scalar": 8},
    ),
    Family(
        "gemma3 with two ropes",
        "Gemma3TextConfig",
        {
            **_SLIDING,
            "query_pre_attn_scalar": 8,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    Family(
        "gemma3n with shared keys",
        "Gemma3nTextConfig",
        {
            **_SLIDING,
            "num_hidden_layers": 4,
            "num_kv_shared_layers": 2,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "vocab_size_per_layer_input": VOCAB_SIZE,
            "hidden_size_per_layer_input": 8,
            "laurel_rank": 4,
            "altup_num_inputs": 2,
            "intermediate_size": [48] * 4,
            "activation_sparsity_pattern": [0.0] * 4,
        },
    ),
    Family("qwen2", "Qwen2Config"),
    Family(
        "qwen2 with sliding layers",
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    Family("qwen3", "Qwen3Config", _HEAD),
    Family("stablelm", "StableLmConfig"),
    Family("olmo", "OlmoConfig"),
    Family("olmo2", "Olmo2Config"),
    Family("cohere", "CohereConfig"),
    Family(
        "cohere2 with layers without positions",
        "Cohere2Config",
        {**_SLIDING, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    Family("starcoder2 with a sliding window", "Starcoder2Config", {"sliding_window": WINDOW}),
    Family("smollm3", "SmolLM3Config"),
    Family("nemotron", "NemotronConfig"),
    Family("glm", "GlmConfig", _HEAD),
    Family(
        "exaone4",
        "Exaone4Config",
        {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    Family("persimmon", "PersimmonConfig"),
    Family(
        "xglm",
        "XGLMConfig",
        {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4, "pad_token_id": 1},
    ),
    Family("biogpt", "BioGptConfig", {"pad_token_id": 1}),
    Family("mixtral", "MixtralConfig", {"num_local_experts": 4, **_MOE}),
    Family(
        "qwen2 moe",
        "Qwen2MoeConfig",
        {"num_experts": 4, "shared_expert_intermediate_size": 24, **_MOE},
    ),
    Family(
        "deepseek3",
        "DeepseekV3Config",
        {
            "n_routed_experts": 4,
            "n_group": 2,
            "topk_group": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
            "first_k_dense_replace": 1,
            "num_key_value_heads": 4,
            **_MOE,
        },
    ),
    Family(
        "gpt oss with sinks",
        "GptOssConfig",
        {
            "num_local_experts": 4,
            **_SLIDING,
            **_MOE,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        },
    ),
    Family(
        "llama4 with chunked attention",
        "Llama4TextConfig",
        {
            **_HEAD,
            "attention_chunk_size": WINDOW,
            "num_local_experts": 2,
            "intermediate_size_mlp": 48,
            "layer_types": ["chunked_attention", "full_attention"],
            "no_rope_layers": [1, 0],
        },
    ),
    Family("mamba", "MambaConfig", {"state_size": 8}),
    Family(
        "mamba2",
        "Mamba2Config",
        {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    ),
    Family("falcon mamba", "FalconMambaConfig", {"state_size": 8}),
    Family("rwkv", "RwkvConfig", {"attention_hidden_size": 32, "context_length": 256}, "uncached"),
    Family(
        "jamba",
        "JambaConfig",
        {
            "num_experts": 2,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_d_state": 8,
            "use_mamba_kernels": False,
            "num_experts_per_tok": 1,
        },
    ),
    Family(
        "bamba",
        "BambaConfig",
        {
            "attn_layer_indices": [1],
            "mamba_n_heads": 8,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_n_groups": 1,
            "mamba_chunk_size": 8,
        },
    ),
    Family(
        "recurrent gemma",
        "RecurrentGemmaConfig",
        {
            "attention_window_size": WINDOW,
            "block_types": ["recurrent", "attention"],
            "lru_width": 32,
            "head_dim": 8,
        },
        "uncached",  # keeps what it has read in its layers
    ),
    Family("lfm2 with convolutions", "Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    Family(
        "falcon h1",
        "FalconH1Config",
        {
            "mamba_d_ssm": 64,
            "mamba_n_heads": 8,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_n_groups": 1,
            "mamba_chunk_size": 8,
            **_HEAD,
        },
    ),
    Family(
        "qwen3 next with linear attention",
        "Qwen3NextConfig",
        {
            **_HEAD,
            "num_experts": 2,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "shared_expert_intermediate_size": 24,
            "moe_intermediate_size": 24,
            "num_experts_per_tok": 1,
        },
    ),
    Family(
        "minimax with lightning attention",
        "MiniMaxConfig",
        {
            **_HEAD,
            "layer_types": ["linear_attention", "full_attention"],
            "num_local_experts": 2,
            "block_size": 8,
            "num_experts_per_tok": 1,
        },
        "uncached",
    ),
]
