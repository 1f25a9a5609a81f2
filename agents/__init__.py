"""Agents that ship with Guildbus: language models and machine-learning research."""
