"""What an observer sees: each message before it goes out, and each handling as it begins and ends.

Traces and metrics stand on this. The bus itself sets no trace: what a handler sends has that of
the message in hand, and an observer may give it another one. A retry, a timer that comes due, a
takeover, a requeue, a replay and a relay keep the trace that a message has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Literal, NamedTuple

from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope

log = get_logger()

LONGEST_TRACE = 1_024
_HOOKS = ("prepared", "wants", "sealed", "begun", "ended")

Outcome = Literal[
    "handled",
    "retried",
    "dead_lettered",
    "cancelled",
    "ignored",
    "left_to_others",
    "conflicted",
    "interrupted",
]
"""What became of a message at one group.

handled: its handler has returned; what it sent leaves with the commit that follows.
retried: it failed, and another attempt follows.
dead_lettered: the group gave it up.
cancelled: a user cancelled it.
ignored: the group has no handler for its type, or its tags name others.
left_to_others: no replica of this version knows its type; one of another version may.
conflicted: it was handled, but another handling has changed the same state first: it begins again.
interrupted: this replica stops or has lost the message; it begins again, here or elsewhere.
"""


class Handling(NamedTuple):
    """A message that one group is lent.

    Attributes:
        envelope: with the trace that the message has.
        group: the agent that handles it.
        attempt: as `Context.attempt` counts.
        waited_s: seconds since the message was made, which its id tells: delays and earlier
            attempts count, and a difference between two machines' clocks does. None where the id
            was made by another rule than `new_id`.
    """

    envelope: Envelope
    group: str
    attempt: int
    waited_s: float | None


class Ending(NamedTuple):
    """How a handling ended.

    Attributes:
        outcome: what became of the message.
        error: why it was retried, dead-lettered, left to others or interrupted.
        handled_s: seconds since `Observer.begun`; None where that was not called.
    """

    outcome: Outcome
    error: BaseException | None = None
    handled_s: float | None = None


class Observer:
    """Sees what happens on a bus; override what you want to know.

    Each method is called where it happens and is waited for: it must be quick, and must not block.
    One that raises an `Exception` is logged, once for each kind of it, and harms nothing.
    """

    def prepared(self) -> None:
        """A task begins in which one handling follows another.

        Context variables that are set here are seen by all of them, and by each log line: a value
        that belongs to one handling has to look itself up when it is shown.
        """

    def wants(self, envelope: Envelope) -> bool:
        """Whether to be told of the handling of this message; what nobody wants costs nothing.

        Where another observer wants it, this one is told all the same. The answer may be another
        one each time; that at the beginning of a handling counts for it.
        """
        del envelope
        return True

    def sealed(self, envelope: Envelope) -> str:
        """The trace under which `envelope` goes out: at most 1,024 printable characters.

        Called for each message that is published or asked, and for each that leaves a handler: its
        answers, what it sends and asks, its timers, and the notice that a message was given up.
        Not for what is emitted. It may be a plain handler's thread that calls. The message may
        still be refused, and what a handler sends may never leave.

        Args:
            envelope: as it would go out; its `trace` is that of the message in hand, or "".
        """
        return envelope.trace

    def begun(self, handling: Handling) -> Any:
        """A handler is about to run.

        Context variables that are set here are seen by the handler, also by a plain one in its
        thread; reset them in `ended`.

        Returns:
            What `ended` gets as its token.
        """

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
        """A handling has ended, and will be committed.

        Once for each `begun`, unless the process is killed: in its task, so that variables can be
        reset, unless the handler's task was cancelled by neither the bus nor a user. Besides, with
        an `ending` whose `handled_s` is None:
        - for a message that came to no handler: it is ignored, cancelled, too late or unreadable;
        - once more for a handling whose commit was refused: with what becomes of it now.

        Args:
            handling: as `begun` got it.
            ending: how.
            token: what `begun` returned; None where it failed or was not called.
        """


class Observers(Observer):
    """Several observers as one: each sees the trace that the one before has set.

    One that raises harms neither the others nor the bus. A method that an observer does not
    override is not called, and costs nothing.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers = tuple(_apart(observers))
        self._sealing = tuple(each for each in observers if _overrides(each, "sealed"))
        self._beginning = tuple(each for each in observers if _overrides(each, "begun"))
        number = count()
        ending = [(each, next(number) if _overrides(each, "begun") else None) for each in observers]
        # The last that has set a context variable is the first to reset it.
        self._ending: tuple[tuple[Observer, int | None], ...] = tuple(
            one for one in reversed(ending) if _overrides(one[0], "ended")
        )
        self._onlookers: tuple[Observer, ...] = ()
        self._told: set[tuple[type[Observer], str, type[Exception]]] = set()

    @classmethod
    def of(cls, observer: Observer | None) -> "Observers | None":
        """`observer`, which can do no harm any more."""
        return None if observer is None else cls(observer)

    @property
    def has_onlookers(self) -> bool:
        return bool(self._onlookers)

    @property
    def only(self) -> Observer | None:
        """The one that is told of endings, if it is one alone."""
        return self._ending[0][0] if len(self._ending) == 1 else None

    def add(self, onlooker: Observer) -> None:
        """Have `onlooker` told of each ending from now on; nothing else of it is called."""
        self._onlookers = (*self._onlookers, onlooker)
        self._ending = (*self._ending, (onlooker, None))

    def remove(self, onlooker: Observer) -> None:
        """Tell `onlooker` nothing more."""
        self._onlookers = tuple(each for each in self._onlookers if each is not onlooker)
        self._ending = tuple(one for one in self._ending if one[0] is not onlooker)

    @property
    def tracer(self) -> Callable[[Envelope], Envelope] | None:
        """Gives an envelope its trace; None where no observer looks at what goes out."""
        return self.traced if self._sealing else None

    @property
    def beginner(self) -> Callable[[Handling], Sequence[Any]] | None:
        """To be told of a handling that begins; None where no observer wants to know."""
        return self.begun if self._beginning else None

    @property
    def chooser(self) -> Callable[[Envelope], bool] | None:
        """Says which handlings are wanted; None where all are."""
        observers = self._observers
        is_choosy = observers and all(_overrides(each, "wants") for each in observers)
        return self.wants if is_choosy else None

    def traced(self, envelope: Envelope) -> Envelope:
        """`envelope` as it goes out."""
        trace = self.sealed(envelope)
        return envelope if trace == envelope.trace else envelope.with_trace(trace)

    def prepared(self) -> None:
        for observer in self._observers:
            try:
                observer.prepared()
            except Exception as error:  # noqa: BLE001 - it is another's code, and no part of the work
                self._tell(observer, "prepared", error)

    def wants(self, envelope: Envelope) -> bool:
        if self._onlookers:
            return True
        for observer in self._observers:
            try:
                if observer.wants(envelope):
                    return True
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(observer, "wants", error)
        return False

    def sealed(self, envelope: Envelope) -> str:
        trace = given = envelope.trace
        for observer in self._sealing:
            try:
                if trace != given:
                    envelope, given = envelope.with_trace(trace), trace
                told = observer.sealed(envelope)
                trace = told if told is given else _checked(told)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(observer, "sealed", error)
        return trace

    def begun(self, handling: Handling) -> Sequence[Any]:
        return [self._begun_by(observer, handling) for observer in self._beginning]

    def ended(self, handling: Handling, ending: Ending, token: Sequence[Any] | None) -> None:
        for observer, number in self._ending:
            own = None if token is None or number is None else token[number]
            try:
                observer.ended(handling, ending, own)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(observer, "ended", error)

    def _begun_by(self, observer: Observer, handling: Handling) -> Any:
        try:
            return observer.begun(handling)
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(observer, "begun", error)
            return None

    def _tell(self, observer: Observer, hook: str, error: Exception) -> None:
        kind = (type(observer), hook, type(error))
        if kind not in self._told:
            self._told.add(kind)
            name = type(observer).__qualname__
            log.warning("observer.failed", observer=name, method=hook, exc_info=error)


def _checked(trace: str) -> str:
    """`trace`, if it can travel."""
    if not isinstance(trace, str) or len(trace) > LONGEST_TRACE or not trace.isprintable():
        shown = repr(trace)[:80]
        raise ValueError(f"a trace is at most {LONGEST_TRACE:,} printable characters, not {shown}")
    return trace


def _apart(observers: Iterable[Observer]) -> Iterator[Observer]:
    for each in observers:
        if isinstance(each, Observers) and not any(
            _overrides(each, hook, Observers) for hook in _HOOKS
        ):
            yield from each._observers  # noqa: SLF001 - of this class
        else:
            yield each


def _overrides(observer: Observer, hook: str, base: type[Observer] = Observer) -> bool:
    return getattr(type(observer), hook) is not getattr(base, hook)
