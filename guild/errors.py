"""What can go wrong between a guild's spec and its running agents.

GuildError
├── SpecError                  a spec that cannot be used; holds every problem, not the first
│   └── WiringError            each part is well-formed, but messages would go astray
├── UnknownAgentTypeError      no agent or resource goes by this type name
├── UnknownAgentError          a guild has no agent of this id
├── AgentInUseError            an agent in the spec, paused or at work: it cannot be forgotten
├── NoSuchMessageError         a guild has no message that goes by this name
├── LetterNotFoundError        a guild has no dead letter of this id
├── MissingExtraError          an agent needs packages that are not installed
├── HandlerError               a class whose handlers do not state their contract
├── UnresolvedReferenceError   an environment variable or secret that is not there
├── ResourceError              a shared resource could not be opened
├── RouteError                 a route could not be applied to a message
├── SettingsError              a setting, or the settings file, cannot be used
├── NobodyAnswersError         a request that no agent would ever answer
├── NoDeskError                a guild without an agent where approvals lie
├── UnknownApprovalError       no desk of the guild has an approval of this id
├── DecisionRefusedError       a decision that came twice, late, from the asker, or for nothing
├── UnexpectedReplyError       the answer to a request is of another type than was asked for
└── GuildNotRunningError       a guild, or its client, used outside its `async with`
"""

from collections.abc import Sequence
from typing import NamedTuple

from guild.suggest import closest

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing wrong with a spec, where it stands, and what may have been meant.

    Attributes:
        file: name of the file or text; "" when the spec was built in Python.
        line: counted from 1; 0 when there is no text.
        column: counted from 1; 0 when there is no text.
        path: keys and indices that lead to the place, outermost first.
        suggestion: what may have been meant, "" when nothing comes close.
    """

    file: str
    line: int
    column: int
    path: Path
    text: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else dotted(self.path)
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        return f"{place}: {self.text}{hint}"


class GuildError(Exception):
    """Root of everything the guild layer raises on purpose."""


class SpecError(GuildError):
    """A spec that cannot be used; nothing was started. One line for each problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class WiringError(SpecError):
    """The parts of a spec do not fit together: messages would go astray."""


class UnknownAgentTypeError(GuildError):
    """No class of this kind goes by the name."""

    def __init__(self, kind: str, type_name: str, text: str, suggestion: str = "") -> None:
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"{text}{hint}")
        self.kind = kind
        self.type_name = type_name
        self.text = text
        self.suggestion = suggestion


class UnknownAgentError(GuildError):
    """The guild has no agent of this id."""

    def __init__(self, guild: str, agent: str, known: Sequence[str], where: str = "") -> None:
        hint, names = closest(agent, known), ", ".join(known)
        there = f"there are: {names}" if names else "there is nothing else"
        there = f"did you mean {hint!r}?" if hint else there
        where = f" {where}" if where else ""
        super().__init__(f"{guild!r} has no agent {agent!r}{where}; {there}")
        self.agent = agent


class AgentInUseError(GuildError):
    """An agent that cannot be forgotten; nothing was done."""


class NoSuchMessageError(GuildError):
    """No message of the guild goes by this name."""


class LetterNotFoundError(GuildError):
    """The guild has no dead letter of this id, nor one of a message of this id."""

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"there is no dead letter {letter_id}: it was requeued or dropped, or never was; list "
            "the dead letters to see which there are"
        )
        self.letter_id = letter_id


class MissingExtraError(GuildError):
    """An agent or resource needs packages that are not installed here."""

    def __init__(self, subject: str, extra: str, missing: Sequence[str], place: str = "") -> None:
        where = f"{place}: " if place else ""
        packages = ", ".join(missing)
        remedy = f"pip install 'guildbus[{extra}]'" if extra else f"pip install {' '.join(missing)}"
        super().__init__(f"{where}{subject} needs {packages}; run: {remedy}")
        self.subject = subject
        self.extra = extra
        self.missing = tuple(missing)
        self.place = place
        self.remedy = remedy


class HandlerError(GuildError, TypeError):
    """An agent class whose handlers do not say what they take and give."""


class UnresolvedReferenceError(GuildError):
    """A reference of a spec that leads nowhere; its text never holds a value."""


class ResourceError(GuildError):
    """A shared resource could not be opened; the next use tries again."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"resource {name!r}: {text}")
        self.name = name


class RouteError(GuildError):
    """A route could not be applied to a message; the handling counts as failed, for good."""

    retryable = False


class SettingsError(GuildError):
    """A setting, or the file it stands in, cannot be used."""


class NobodyAnswersError(GuildError):
    """A request to handlers that answer nothing, as they declare; it was not published."""

    def __init__(self, topic: str, message: str, handlers: Sequence[str]) -> None:
        super().__init__(
            f"no handler of {message} on {topic!r} answers, by its annotations: "
            f"{', '.join(handlers)}; nothing was sent. Publish it instead, annotate what is "
            "returned, or declare @handles(answers=[...]) where ctx.answer is called"
        )
        self.topic = topic
        self.message = message
        self.handlers = tuple(handlers)


class NoDeskError(GuildError):
    """The guild has no agent where approvals lie."""

    def __init__(self, guild: str) -> None:
        super().__init__(
            f"guild {guild} has no desk where approvals lie; add an agent of the type "
            "approvals.desk to its spec"
        )


class UnknownApprovalError(GuildError):
    """No desk of the guild has an approval of this id: it never came, or was decided long ago."""

    def __init__(self, approval_id: str, desks: Sequence[str]) -> None:
        super().__init__(
            f"there is no approval {approval_id} at {', '.join(desks)}; what was decided is kept "
            "for a while only"
        )
        self.approval_id = approval_id


class DecisionRefusedError(GuildError):
    """A decision that changed nothing; the sentence says what is so instead.

    Attributes:
        refusal: `decided`, `late`, `withdrawn`, `own`, `no_option` or `unknown`.
    """

    def __init__(self, approval_id: str, refusal: str, text: str) -> None:
        super().__init__(text)
        self.approval_id = approval_id
        self.refusal = refusal


class UnexpectedReplyError(GuildError):
    """The answer to a request is of another type than was asked for."""

    def __init__(self, expected: str, given: str) -> None:
        super().__init__(f"the answer is a {given}, not a {expected}")
        self.expected = expected
        self.given = given


class GuildNotRunningError(GuildError):
    """The guild was used before it was launched or after it was closed."""


def dotted(path: Path) -> str:
    """`path` as people write it: `agents[2].retry.attempts`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".") or "spec"
