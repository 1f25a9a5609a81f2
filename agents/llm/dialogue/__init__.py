"""Conversations with an engine: what every face is built on. Knows no bus."""

from agents.llm.dialogue.answering import Answer, Answering
from agents.llm.dialogue.dialogue import Dialogue
from agents.llm.dialogue.sampling import Sampling
from agents.llm.dialogue.structure import grammar_of_format
from agents.llm.dialogue.usage import Usage

__all__ = ["Answer", "Answering", "Dialogue", "Sampling", "Usage", "grammar_of_format"]
