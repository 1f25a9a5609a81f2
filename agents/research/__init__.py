"""A guild that does machine-learning research by messages: assemble, evaluate, train, report."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from agents.research.toolkit import ResearchToolkit

__all__ = ["ResearchToolkit"]

__getattr__ = lazily(__name__, {"agents.research.toolkit": ("ResearchToolkit",)})
