"""Agents that ship with Guildbus: language models and machine-learning research."""

from messaging._origin import check_origin

check_origin(__name__)
