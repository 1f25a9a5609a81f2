"""What is known of a model that somebody named, before it is loaded."""

from dataclasses import dataclass, field

from guild.errors import GuildError


class AnswerError(GuildError):
    """An answer that cannot be used; says why, and another one may be."""


@dataclass(frozen=True)
class Found:
    """A model that is there.

    Attributes:
        model: what the spec names it by.
        backends: those that can run it, the best one first.
        about: what it is, in a few words.
        weight_bytes: what its weights take in memory, of a model that is not here yet.
        context_window: tokens of a prompt and its answer that the spec grants; None leaves it.
        warnings: what is odd, though it may be meant.
        options: settings of the backend.
        temperature: what its authors recommend; None where they do not.
        to_fetch: the name of a model that comes through pip and is not here yet, or "".
    """

    model: str
    backends: tuple[str, ...]
    about: str
    weight_bytes: int = 0
    context_window: int | None = None
    warnings: tuple[str, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    temperature: float | None = None
    to_fetch: str = ""
