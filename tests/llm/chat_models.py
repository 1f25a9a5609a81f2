"""Small models for conversations: a random Phi that writes nonsense by a chat template."""

from pathlib import Path

from transformers import AutoTokenizer

from agents.llm.engines import ModelRegistry
from agents.llm.engines.scripted import Script, scripted_engine
from agents.llm.engines.testing import save_tiny_phi

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def save_tiny_chat_model(folder: Path, context_window: int = 1024) -> Path:
    """A random Phi with a chat template, whose window holds the documents' examples."""
    save_tiny_phi(folder, context_window=context_window)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def scripted_models(script: Script) -> ModelRegistry:
    """A registry whose models answer by `script`, whatever is asked for."""
    return ModelRegistry(create=lambda config: scripted_engine(script, config))
