"""The thread that owns one model: it loads it, decodes with it and frees it."""

import atexit
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from agents.llm.engines.errors import (
    EngineBusyError,
    EngineClosedError,
    LLMError,
    LLMInitializationError,
    as_inference_error,
)
from agents.llm.engines.generation import FinishReason
from agents.llm.engines.job import Job
from agents.llm.engines.local_model import LocalModel, Outcome, Tokens
from agents.llm.engines.log import described, get_logger

_EXIT_WAIT_S = 10.0


class Worker:
    """Runs jobs step by step, at most `max_active` at a time, or as many as the model has room for.

    Attributes:
        loaded: the model, once it is ready, or why it is not.
        ended: resolves when the thread has freed the model and is about to end.
    """

    def __init__(
        self, name: str, open_model: Callable[[], LocalModel], *, max_active: int, max_queue: int
    ) -> None:
        self.name = name
        self.loaded: Future[LocalModel] = Future()
        self.ended: Future[None] = Future()
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self._open_model = open_model
        self._max_active = max_active
        self._places = max_active  # fewer where the model has room for fewer
        self._max_queue = max_queue
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._is_closing = False
        self.loaded.set_running_or_notify_cancel()  # a waiter who gives up cancels nothing
        self.ended.set_running_or_notify_cancel()
        # A daemon, so that a forgotten close() cannot keep the process alive; see _stop_at_exit.
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        """Begin to load the model."""
        atexit.register(self._stop_at_exit)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether it could not load, or broke: another worker must be started."""
        return self.ended.done() or (self.loaded.done() and self.loaded.exception() is not None)

    @property
    def active(self) -> int:
        """Requests being decoded."""
        return len(self._active)

    @property
    def queue_length(self) -> int:
        """Requests waiting for their turn."""
        return len(self._waiting)

    def enqueue(self, job: Job) -> None:
        """Queue `job`, from any thread.

        Raises:
            EngineBusyError: too many are waiting.
            EngineClosedError: the engine was closed.
        """
        with self._changed:
            if self._is_closing:
                raise EngineClosedError(f"{self.name}: the engine is closed")
            self.refuse_when_full()
            self._waiting.append(job)
            self._changed.notify()

    def refuse_when_full(self) -> None:
        """Raise `EngineBusyError` when another request would have to wait for too long."""
        free = max(0, self._max_active - len(self._active))
        if len(self._waiting) >= self._max_queue + free:
            raise EngineBusyError(self.name, len(self._waiting))

    def cancel(self, job: Job) -> None:
        """End `job` before its next token, from any thread."""
        with self._changed:
            job.is_cancelled = True
            self._changed.notify()

    def stop(self) -> None:
        """Ask the thread to end; `ended` tells when it has."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def join(self) -> None:
        """Wait for the thread itself."""
        self._thread.join()

    def _run(self) -> None:
        try:
            model = self._load()
            if model is not None:
                self._serve(model)
        finally:
            atexit.unregister(self._stop_at_exit)
            if not self.loaded.done():
                self.loaded.set_exception(LLMInitializationError(f"{self.name}: loading broke off"))
            self.ended.set_result(None)

    def _stop_at_exit(self) -> None:
        self.stop()
        self._thread.join(_EXIT_WAIT_S)  # native code must not run while the interpreter goes

    def _load(self) -> LocalModel | None:
        begun = time.monotonic()
        try:
            model = self._open_model()
        except Exception as error:  # noqa: BLE001  raised where the model is waited for
            if not isinstance(error, LLMError):
                text = f"{self.name} cannot be loaded: {type(error).__name__}: {error}"
                cause, error = error, LLMInitializationError(text)
                error.__cause__ = cause
            self.loaded.set_exception(error)
            return None
        self._places = min(self._max_active, model.max_active or self._max_active)
        get_logger().info(
            "model.loaded",
            model=self.name,
            seconds=round(time.monotonic() - begun, 3),
            max_active=self._places,
        )
        self.loaded.set_result(model)
        return model

    def _serve(self, model: LocalModel) -> None:
        try:
            while self._wait_for_work():
                self._end_overdue(model)
                self._admit(model)
                self._step(model)
        finally:
            self.stop()  # also when the loop itself broke: no job may queue up for it
            self._end_all(model)
            model.close()
            get_logger().info("model.unloaded", model=self.name)

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._is_closing and not self._has_work():
                deadlines = [job.deadline for job in self._jobs() if job.deadline is not None]
                wait_s = min(deadlines) - time.monotonic() if deadlines else None
                self._changed.wait(wait_s)
            return not self._is_closing

    def _has_work(self) -> bool:
        if self._waiting and len(self._active) < self._places:
            return True
        if any(job.state and job.state.is_runnable for job in self._active):
            return True
        return any(job.must_end() for job in self._jobs())

    def _jobs(self) -> list[Job]:
        with self._changed:
            return [*self._active, *self._waiting]

    def _end_overdue(self, model: LocalModel) -> None:
        for job in self._jobs():
            reason = job.must_end()
            if reason is not None:
                self._end(model, job, reason)

    def _admit(self, model: LocalModel) -> None:
        while self._waiting and len(self._active) < self._places:
            with self._changed:
                job = self._waiting.popleft()
                self._active.append(job)
            self.prompt_tokens += len(job.prompt_ids)
            job.admitted = time.monotonic()
            try:
                job.state = model.start(job.prompt_ids, job.request, job.constraint)
            except Exception as error:  # noqa: BLE001  this job fails, the others go on
                self._fail(model, job, error)

    def _step(self, model: LocalModel) -> None:
        ready = [(job, job.state) for job in self._active if job.state and job.state.is_runnable]
        if not ready:
            return
        outcomes: Sequence[Outcome]
        try:
            outcomes = model.step([state for _, state in ready])
        except Exception as error:  # noqa: BLE001  these jobs fail, the engine lives
            outcomes = [error] * len(ready)
        for (job, _), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._fail(model, job, outcome)
            elif outcome is not None:
                self._take(model, job, outcome)

    def _take(self, model: LocalModel, job: Job, tokens: int | Tokens) -> None:
        if isinstance(tokens, int):
            tokens = Tokens((tokens,))
        before = len(job.token_ids)
        try:
            reason = job.take(tokens, model.end_token_ids)
        except Exception as error:  # noqa: BLE001  this job fails, the others go on
            self._fail(model, job, error)
            return
        finally:
            self.generated_tokens += len(job.token_ids) - before
        if reason is not None:
            self._end(model, job, reason)

    def _fail(self, model: LocalModel, job: Job, error: Exception) -> None:
        get_logger().warning("generation.failed", model=self.name, **described(error))
        _forget_locals(error)
        self._end(model, job, FinishReason.ERROR, as_inference_error(error))

    def _end(
        self, model: LocalModel, job: Job, reason: FinishReason, error: LLMError | None = None
    ) -> None:
        try:
            if job.state is not None:
                model.end(job.state)
        except Exception as broken:  # noqa: BLE001  the waiting caller must hear of the end
            get_logger().error("model.broken", model=self.name, **described(broken))
            self.stop()
        with self._changed:
            (self._active if job in self._active else self._waiting).remove(job)
        job.finish(reason, error)
        job.state = None  # a finished generation that is kept must not keep the model with it

    def _end_all(self, model: LocalModel) -> None:
        for job in self._jobs():
            closed = EngineClosedError(f"{self.name}: the engine was closed during the generation")
            self._end(model, job, FinishReason.ERROR, closed)


def _forget_locals(error: BaseException | None) -> None:
    """Free what the frames of an error hold, such as tensors: the caller may keep the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
