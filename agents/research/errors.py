"""What can go wrong with research by messages. `retryable` tells the dispatcher what to do.

ResearchError
├── WorkRefusedError      the request itself is at fault: a layer, key or file; never tried again
│   └── OutsideWorkspaceError     a path that leads out of the workspace
├── WorkOverLimitError    the child ran into a limit of time or memory; never tried again
├── TrainingDivergedError the loss became infinite or no number
├── NoLanguageModelError  the config needs a language model and the guild has none
├── LanguageModelError    the language model could not answer
├── NoWorkingCodeError    the language model wrote nothing that passed the gate
├── WorkInterruptedError  the child was killed, or could not start; tried again
├── RunConflictError      something else was asked for under this name
├── StudyForgottenError   the study was forgotten while somebody waited for it
└── NothingLeftError      nothing of a run or study worked
"""

from agents.llm.dialogue.usage import Usage


class ResearchError(Exception):
    """Root of this package's errors.

    Attributes:
        retryable: whether the same request may succeed when it is handled again.
    """

    retryable = False


class WorkRefusedError(ResearchError):
    """The request names something that does not exist or does not fit.

    Attributes:
        kind: class name of the error in the library or child, such as "LayerError".
        where: the layer, key or file at fault; "" when the error names none.
    """

    def __init__(self, kind: str, text: str, *, where: str = "") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.where = where


class OutsideWorkspaceError(WorkRefusedError):
    """A path that leads out of the workspace; nothing was read or written."""

    def __init__(self, key: str, path: str) -> None:
        super().__init__(
            "OutsideWorkspaceError",
            f"{key}: {path!r} leads out of the workspace; give a path below it",
            where=key,
        )


class WorkOverLimitError(ResearchError):
    """The child ran into a limit of time, memory or processes, and would do so again."""


class TrainingDivergedError(ResearchError):
    """The loss became infinite or no number; the same training would do so again."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(
            f"{what} diverged: its loss was no finite number at step {step}; lower the learning "
            "rate, or clip the gradients"
        )
        self.step = step


class NoLanguageModelError(ResearchError):
    """The compiler cannot express the config and there is no model to ask."""


class LanguageModelError(ResearchError):
    """The language model could not be loaded or did not answer."""

    def __init__(self, model: str, text: str, *, retryable: bool) -> None:
        super().__init__(f"{model}: {text}")
        self.retryable = retryable


class NoWorkingCodeError(ResearchError):
    """The language model was asked as often as allowed and nothing it wrote passed the gate.

    Attributes:
        usage: what all its answers cost.
    """

    def __init__(self, text: str, usage: Usage) -> None:
        super().__init__(text)
        self.usage = usage


class WorkInterruptedError(ResearchError):
    """The child process was killed or could not be started; nothing is wrong with the request."""

    retryable = True


class RunConflictError(ResearchError):
    """A run or study of this name was asked for something else."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(
            f"the {what} {name!r} was asked for something else; give this one another name, or ask "
            "for exactly what it began with"
        )


class StudyForgottenError(ResearchError):
    """The store has forgotten the study, and with it what it was about to find."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the study {name!r} was forgotten while it was at work; ask again to begin it anew"
        )


class NothingLeftError(ResearchError):
    """Nothing of the run or study worked."""
