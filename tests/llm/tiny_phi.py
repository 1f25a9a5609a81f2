"""A tiny Phi with a tokenizer, saved like any model: for tests that take the real path."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

CORPUS = (
    "The benefits of multi-agent systems include messages, agents and topics.",
    "A guild is a set of agents that work by messages; der Größte saß früh am Fluss.",
    "To be, or not to be: that is the question. 今日は 🎉 naïve café.",
)


def save_tiny_phi(
    folder: Path,
    *,
    corpus: Iterable[str] = CORPUS,
    vocab_size: int = 400,
    context_window: int = 128,
    hidden_size: int = 32,
    seed: int = 0,
) -> Path:
    """Save a random Phi of two layers and a byte-level BPE tokenizer under `folder`.

    It answers nonsense and never ends by itself, but takes every step a large one takes:
    `from_pretrained`, special tokens, K/V cache, context window.
    """
    import torch  # noqa: PLC0415  importing this module must not import torch
    from transformers import PhiConfig, PhiForCausalLM  # noqa: PLC0415  likewise

    tokenizer = _tokenizer(corpus, vocab_size)
    tokenizer.save_pretrained(folder)
    config = PhiConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=context_window,
        initializer_range=0.2,  # lively: greedy decoding of a colder one repeats one token
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PhiForCausalLM(config)
    torch.nn.init.constant_(model.lm_head.bias[config.eos_token_id], -100.0)
    model.save_pretrained(folder)
    return folder


def _tokenizer(corpus: Iterable[str], vocab_size: int) -> Any:
    from tokenizers import (  # noqa: PLC0415  as above
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415  as above

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    wrap: Any = PreTrainedTokenizerFast
    return wrap(
        tokenizer_object=bpe,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    )
