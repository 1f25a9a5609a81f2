"""What an observer sees: each message before it goes out, and each handling as it begins and ends.

Traces and metrics stand on this. The bus itself sets no trace: what a handler sends has that of
the message in hand, and an observer may give it another one. A retry, a timer that comes due, a
takeover, a requeue, a replay and a relay keep the trace that a message has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Literal, NamedTuple

from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope

log = get_logger()

LONGEST_TRACE = 1_024
_HOOKS = ("prepared", "wants", "sealed", "begun", "ended", "handled")
TIME = slice(13)  # of an id: milliseconds, and the version of UUID that says so
_WITH_TIME = "7"

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


Handled = tuple[Envelope, int, Sequence[Envelope], float, float]
"""A handling that went well: its message, the attempt, what leaves with its commit, and when it
began and ended, by `time.perf_counter`."""


@lru_cache(maxsize=128)  # many ids are made within one millisecond
def made_at(start: str) -> float | None:
    """When a message was made, in unix seconds, by the start of its id; None if that has no time.

    Args:
        start: `TIME` of the id.
    """
    return int(start[:-1], 16) / 1_000 if start[-1:] == _WITH_TIME else None


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

    def handled(self, group: str, handlings: Sequence[Handled], epoch_s: float) -> None:
        """These went well, a moment ago.

        An observer that overrides this, and not `begun`, is told by it of what was `handled`, and
        by `ended` of all else: to be told of many at once costs a tenth of it.

        Args:
            group: the agent that has handled them.
            handlings: in the order of their ends.
            epoch_s: added to a time of theirs it gives unix seconds, by the clock of the bus.
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
        self._observers = tuple(_apart(observers))
        self._attached: tuple[Observer, ...] = ()
        self._sealing = tuple(each for each in self._observers if _overrides(each, "sealed"))
        self._beginning = tuple(each for each in self._observers if _overrides(each, "begun"))
        self._arrange()
        self._told: set[tuple[type[Observer], str, type[Exception]]] = set()

    @classmethod
    def of(cls, observer: Observer | None) -> "Observers":
        """`observer`, which can do no harm any more."""
        return cls() if observer is None else cls(observer)

    def add(self, observer: Observer) -> None:
        """Have `observer` told of each handling that ends from now on, and of nothing else."""
        self._attached = (*self._attached, observer)
        self._arrange()

    def remove(self, observer: Observer) -> None:
        """Tell `observer`, which was added, nothing more."""
        self._attached = tuple(each for each in self._attached if each is not observer)
        self._arrange()

    def _arrange(self) -> None:
        """Note by which methods each is told."""
        number = count()
        own = [
            (each, next(number) if _overrides(each, "begun") else None) for each in self._observers
        ]
        # The last that has set a context variable is the first to reset it.
        ending = [*reversed(own), *((each, None) for each in self._attached)]
        self._ending = tuple(one for one in ending if _overrides(one[0], "ended"))
        everyone = (*self._observers, *self._attached)
        self._counting = tuple(each for each in everyone if _counts(each))
        self._ending_well = tuple(one for one in self._ending if not _counts(one[0]))
        well = [observer for observer, _ in self._ending_well]
        more = (each for each in well if not any(each is other for other in self._beginning))
        self._choosing = (*self._beginning, *more)

    @property
    def are_told(self) -> bool:
        """Whether there is one that is told of handlings at all."""
        return bool(self._beginning or self._ending or self._counting)

    @property
    def are_told_each(self) -> bool:
        """Whether there is one that is told of handlings one by one, also if they go well."""
        return bool(self._choosing)

    @property
    def count(self) -> bool:
        """Whether there is one that is told of many at once."""
        return bool(self._counting)

    @property
    def tracer(self) -> Callable[[Envelope], Envelope] | None:
        """Gives an envelope its trace; None where no observer looks at what goes out."""
        if len(self._sealing) == 1:  # each message takes this way
            return self._traced_by(self._sealing[0])
        return self.traced if self._sealing else None

    @property
    def chooser(self) -> Callable[[Envelope], bool] | None:
        """Says of which handlings to tell one by one, unless it raises, where `wants` says it.

        None where it is all of them.
        """
        is_choosy = all(_overrides(each, "wants") for each in self._choosing)
        if is_choosy and len(self._choosing) == 1:  # as above
            return self._choosing[0].wants
        return self.wants if is_choosy else None

    def traced(self, envelope: Envelope) -> Envelope:
        """`envelope` as it goes out."""
        trace = self.sealed(envelope)
        return envelope if trace == envelope.trace else envelope.with_trace(trace)

    def _traced_by(self, observer: Observer) -> Callable[[Envelope], Envelope]:
        sealed = observer.sealed

        def traced(envelope: Envelope) -> Envelope:
            try:
                trace = sealed(envelope)
                if trace == envelope.trace:
                    return envelope
                return envelope.with_trace(_checked(trace))
            except Exception as error:  # noqa: BLE001 - it is another's code, and no part of the work
                self._tell(observer, "sealed", error)
                return envelope

        return traced

    def prepared(self) -> None:
        for observer in self._observers:
            try:
                observer.prepared()
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(observer, "prepared", error)

    def wants(self, envelope: Envelope) -> bool:
        for observer in self._choosing:
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
        self._end(self._ending, handling, ending, token)

    def end(self, handling: Handling, ending: Ending, token: Sequence[Any] | None) -> None:
        """The same, where those that are told of many at once hear of this one so, too."""
        went_well = ending.outcome == "handled"
        self._end(self._ending_well if went_well else self._ending, handling, ending, token)

    def _end(
        self,
        those: Iterable[tuple[Observer, int | None]],
        handling: Handling,
        ending: Ending,
        token: Sequence[Any] | None,
    ) -> None:
        for observer, number in those:
            own = None if token is None or number is None else token[number]
            try:
                observer.ended(handling, ending, own)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(observer, "ended", error)

    def handled(self, group: str, handlings: Sequence[Handled], epoch_s: float) -> None:
        for observer in self._counting:
            try:
                observer.handled(group, handlings, epoch_s)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(observer, "handled", error)

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


def _counts(observer: Observer) -> bool:
    return _overrides(observer, "handled") and not _overrides(observer, "begun")
