"""The commands of language models: `guildbus models`, `chat`, `serve` and `init`."""

from agents.llm.commands.app import chat, init, models, serve

__all__ = ["chat", "init", "models", "serve"]
