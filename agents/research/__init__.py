"""A guild that does machine-learning research by messages: assemble, evaluate, train, report.

messages, tools       what the tools are asked and answer; the tools as functions, one each
assembler, trainer,   their agents; a tool with a room of its own has its agent there
tokenizer, reporter
workspace, packages,  tools with a room of their own
optimizers, scaffold
toolkit               all tools as plain calls
jobs, scoring         what must stay behind a fence: model_jobs, text_jobs and training_jobs
writing               what a language model writes for the tools
experiments           what was tried, with what outcome
researcher, run       long work: a study by itself, and a run of the coordinator
stepwise              what long work has in common
report                how a run or a study is shown
"""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from agents.research.toolkit import ResearchToolkit

__all__ = ["ResearchToolkit"]

__getattr__ = lazily(__name__, {"agents.research.toolkit": ("ResearchToolkit",)})
