"""An answer that a thread of its own computes ahead, until its tokens are taken."""

import threading
from abc import ABC, abstractmethod
from collections import deque

from agents.llm.engines.errors import LLMInferenceError, as_inference_error
from agents.llm.engines.local_model import Outcome


class AnswerAhead(ABC):
    """What has come of an answer and has not been taken.

    Args:
        slot: the place in the server where it is computed.
        arrived: notified when something has come.
    """

    is_runnable = True

    def __init__(self, slot: int, arrived: threading.Condition) -> None:
        self.slot = slot
        self.cached_tokens = 0
        self.has_ended = False
        self._arrived = arrived
        self._outcomes: deque[Outcome] = deque()
        self._is_complete = False
        self._thread = threading.Thread(target=self._run, name="engine-llamacpp", daemon=True)

    @property
    def has_outcome(self) -> bool:
        return bool(self._outcomes)

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def take(self) -> Outcome:
        """The next tokens, None while there are none."""
        return self._outcomes.popleft() if self._outcomes else None

    def end(self) -> None:
        """Stop at the next token, or at the next piece of a prompt."""
        self.has_ended = True

    def join(self) -> None:
        self._thread.join()

    @abstractmethod
    def _compute(self) -> None:
        """Put all outcomes; what it raises is the last one."""

    def _run(self) -> None:
        try:
            self._compute()
        except Exception as error:  # noqa: BLE001  raised where the answer is waited for
            self._put(as_inference_error(error))
        if not self._is_complete and not self.has_ended:
            self._put(LLMInferenceError("llama.cpp broke the answer off"))

    def _put(self, outcome: Outcome) -> None:
        with self._arrived:
            self._is_complete = self._is_complete or isinstance(outcome, Exception)
            self._outcomes.append(outcome)
            self._arrived.notify()
