"""Small models for conversations: a random Phi that writes nonsense by a chat template."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.llm.engines import ModelRegistry
from agents.llm.engines.scripted import Script, scripted_engine
from tests.llm.tiny_phi import save_tiny_phi

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def save_tiny_chat_model(folder: Path, context_window: int = 1024, **settings: Any) -> Path:
    """A random Phi with a chat template, whose window holds the documents' examples."""
    save_tiny_phi(folder, context_window=context_window, **settings)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_calling_model(
    folder: Path, opening: str = "<tool_call>", *, is_special: bool = False
) -> Path:
    """The same, taught a notation of calls by its template, and eager to begin one."""
    save_tiny_phi(folder, context_window=2048)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([opening], special_tokens=is_special)
    tokenizer.chat_template = f"{{{{ tools }}}} Call by {opening}.\n{CHAT_TEMPLATE}"
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        model.lm_head.bias[tokenizer.convert_tokens_to_ids(opening)] = 5.0
        model.lm_head.bias[tokenizer.eos_token_id] = 1.0
    model.save_pretrained(folder)
    return folder


def scripted_models(script: Script) -> ModelRegistry:
    """A registry whose models answer by `script`, whatever is asked for."""
    return ModelRegistry(create=lambda config: scripted_engine(script, config))
