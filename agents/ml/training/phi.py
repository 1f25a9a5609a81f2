"""A Phi of any small size and its tokenizer, as Hugging Face folders that load without network."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import GenerationConfig, PhiConfig, PhiForCausalLM, PreTrainedTokenizerFast

from agents.ml.atomic_files import sync_folder
from agents.ml.data.text import end_token, pad_token
from agents.ml.errors import ConfigError
from agents.ml.tokenizer.files import vocabulary_size
from agents.ml.training.configs import LanguageModelConfig


def build_phi(config: LanguageModelConfig, tokenizer: Tokenizer) -> PhiForCausalLM:
    """Return an untrained Phi of the asked size for this tokenizer's vocabulary."""
    shape = config.architecture
    eos, pad = special_tokens(config, tokenizer)
    eos_id = tokenizer.token_to_id(eos) if eos else None
    phi = PhiConfig(
        vocab_size=vocabulary_size(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size or 4 * shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        max_position_embeddings=shape.context_length,
        resid_pdrop=shape.dropout,
        embd_pdrop=shape.dropout,
        tie_word_embeddings=shape.tie_embeddings,
        bos_token_id=eos_id,
        eos_token_id=eos_id,
        pad_token_id=tokenizer.token_to_id(pad) if pad else None,
        use_cache=False,
    )
    return PhiForCausalLM(phi)


def special_tokens(
    config: LanguageModelConfig, tokenizer: Tokenizer
) -> tuple[str | None, str | None]:
    """Return the tokens that end a text and fill up rows, as configured or by their usual names.

    Raises:
        ConfigError: a configured token is not in the vocabulary.
    """
    for key, token in (("eos_token", config.eos_token), ("pad_token", config.pad_token)):
        if token is not None and tokenizer.token_to_id(token) is None:
            raise ConfigError(f"{token!r} is not in the tokenizer's vocabulary", where=key)
    eos = config.eos_token or end_token(tokenizer)
    return eos, config.pad_token or pad_token(tokenizer) or eos


def check_folder(folder: Path) -> None:
    """Refuse a place whose content would be lost, or that no folder can take, before the training.

    Raises:
        ConfigError: it is neither new, nor empty, nor a saved model.
    """
    is_model = (folder / "config.json").is_file()
    is_ours = folder.is_dir() and (is_model or not any(folder.iterdir()))
    if not folder.name or folder.is_symlink() or (folder.exists() and not is_ours):
        text = "what is there is no saved model, and would be deleted; name a new folder"
        raise ConfigError(f"{folder}: {text}", where="output_dir")


def save_folder(model: PhiForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save model and tokenizer so that the folder is there whole or not at all."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    sync_folder(folder.parent)


def check_prompts(config: LanguageModelConfig, tokenizer: Tokenizer) -> None:
    """Find sample prompts that cannot be continued before the training, not after it.

    Raises:
        ConfigError: a prompt without tokens, or as long as the context.
    """
    for prompt in config.sample_prompts:
        length = len(tokenizer.encode(prompt).ids)
        if not 0 < length < config.architecture.context_length:
            raise ConfigError(
                f"{prompt!r} has {length} tokens; it needs at least 1 and room in a context of "
                f"{config.architecture.context_length}",
                where="sample_prompts",
            )


def fast_tokenizer(
    config: LanguageModelConfig, tokenizer: Tokenizer, warnings: list[str]
) -> PreTrainedTokenizerFast:
    """Return the tokenizer as transformers wants it, its special tokens named."""
    eos, pad = special_tokens(config, tokenizer)
    if eos is None:
        warnings.append("the tokenizer has no token that ends a text; set eos_token")
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers is partly typed
        tokenizer_object=tokenizer,
        eos_token=eos,
        bos_token=eos,
        pad_token=pad,
        model_max_length=config.architecture.context_length,
    )


def prepare_for_generation(model: PhiForCausalLM) -> None:
    """Turn the trained model into one that generates, with its cache and its end token."""
    nn.Module.eval(model)
    model.config.use_cache = True
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]  # as above
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        use_cache=True,
    )


def sample(
    model: Any, tokenizer: PreTrainedTokenizerFast, prompt: str, config: LanguageModelConfig
) -> dict[str, str]:
    """Continue a prompt within the context the model was trained on; the same for the same seed."""
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False).to(model.device)
    length = inputs["input_ids"].shape[1]
    room = config.architecture.context_length - length
    heat = config.sample_temperature
    choice = {"do_sample": True, "temperature": heat} if heat > 0 else {"do_sample": False}
    torch.manual_seed(config.seed)
    output = model.generate(**inputs, **choice, max_new_tokens=min(config.sample_tokens, room))
    completion = tokenizer.decode(output[0, length:], skip_special_tokens=True)
    return {"prompt": prompt, "completion": str(completion)}
