"""Which prompts are read and which answers decoded in each step, and the tokens chosen.

Suffixes: B batch, V vocabulary.
"""

# ruff: noqa: N803, N806  shape suffixes in names

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from agents.llm.engines.answer import Answer
from agents.llm.engines.company import Company, Scored, Scores
from agents.llm.engines.constraint import forced_tokens
from agents.llm.engines.errors import OutOfMemoryError
from agents.llm.engines.forward import Forward
from agents.llm.engines.generation import TokenLogprobs
from agents.llm.engines.local_model import Outcome, Tokens
from agents.llm.engines.memory import is_out_of_memory
from agents.llm.engines.pool import CacheSizes, Pool, cache_bytes
from agents.llm.engines.prefixes import Found, Prefixes
from agents.llm.engines.reading import Reading, Turns, group_by_length
from agents.llm.engines.sampling import Choice, Sampler, choose
from agents.llm.engines.snapshot import restore, take
from agents.llm.engines.soundness import Mode, Soundness

READ_TOKENS = 512  # of prompts, in a step
READ_TOKENS_BESIDE_ANSWERS = 256
_FEWEST_TOKENS = 32  # to which that number shrinks when there is no memory for more
_READ_TOGETHER = 4  # so many forced tokens are read at once; fewer are read one by one


class Decoder:
    """Answers of one model: read in chunks, then decoded together, or alone where they must be.

    Each step decodes one token of every answer and reads a bounded piece of the prompts, so that
    a long one does not hold up the others. What fails for one answer is its outcome.

    Args:
        forward: of the model.
        soundness: how it may be decoded.
        end_token_ids: tokens that end an answer.
        max_cache_bytes: what caches may occupy; answers wait rather than exceed it, but one of
            them always goes on.
        rereads_at: a text that grows beyond so many tokens is read anew; None for never.
        prefixes: what has been read before; only for models that read in chunks.
    """

    def __init__(
        self,
        forward: Forward,
        soundness: Soundness,
        end_token_ids: frozenset[int],
        *,
        max_cache_bytes: int,
        rereads_at: int | None = None,
        prefixes: Prefixes | None = None,
    ) -> None:
        self._forward = forward
        self._soundness = soundness
        self._reads_together = soundness.reads_in_chunks or soundness.mode is Mode.UNCACHED
        self._end_token_ids = end_token_ids
        self._rereads_at = rereads_at
        self._prefixes = prefixes or Prefixes(0, can_crop=False)
        self._max_cache_bytes = max_cache_bytes
        self._sizes = CacheSizes(soundness.template)
        is_shared = soundness.mode is Mode.TOGETHER
        self._company = Company(forward, Pool(soundness.template if is_shared else None))
        self._most_tokens = READ_TOKENS
        self._new: list[Answer] = []
        self._complete: list[Answer] = []  # without any choice
        self._turns: Turns[Answer] = Turns()
        self._alone: list[Answer] = []
        self._outcomes: dict[Answer, Outcome] = {}
        self.nbytes = 0

    def start(self, prompt_ids: Sequence[int], sampler: Sampler, room: int) -> Answer:
        """Begin an answer of at most `room` tokens; computes nothing yet."""
        answer = Answer(list(prompt_ids), sampler, limit=len(prompt_ids) + room)
        if sampler.constraint is not None:
            self._append(answer, forced_tokens(sampler.constraint))
        (self._complete if _is_complete(answer) else self._new).append(answer)
        return answer

    @torch.inference_mode()
    def end(self, answer: Answer) -> None:
        """Forget an answer and free its memory."""
        answer.has_ended = True
        if answer.row is not None:
            if not isinstance(self._outcomes.get(answer), Exception):
                self._prefixes.add(answer.ids[: answer.read], partial(self._company.take, answer))
            self._company.leave(answer)
        elif answer in self._alone:
            self._alone.remove(answer)
        elif answer in self._new:
            self._new.remove(answer)
        elif answer in self._complete:
            self._complete.remove(answer)
        else:
            self._turns.drop(lambda reading: all(a.has_ended for a in reading.states))
        answer.cache = None
        self._outcomes.pop(answer, None)
        self._count_bytes()

    @torch.inference_mode()
    def step(self) -> dict[Answer, Outcome]:
        """Bring every answer one step further: tokens, or what went wrong, where there is any."""
        self._outcomes = {}
        for answer in self._complete:
            self._tell(answer)
        self._complete.clear()
        for scored in self._company.decode():
            self._go_on(*scored)
        for answer in self._alone:
            self._go_on(*self._decode_alone(answer))
        self._read()
        self._count_bytes()
        return self._outcomes

    def _decode_alone(self, answer: Answer) -> Scored:
        begin, after = answer.read, len(answer.ids) if self._reads_together else answer.read + 1
        if answer.cache is None:
            begin = 0
        elif self._rereads_at is not None and begin <= self._rereads_at < after:
            begin, answer.cache = 0, self._forward.new_cache()
        try:
            ids_1T = torch.tensor([answer.ids[begin:after]], device=self._forward.device)
            positions_1T = torch.arange(begin, after, device=ids_1T.device)[None]
            logits_1V = self._forward(ids_1T, positions_1T, answer.cache)
        except Exception as error:  # noqa: BLE001  fails this answer, not those beside it
            return [answer], error
        answer.read = after
        return [answer], logits_1V

    def _go_on(self, answers: list[Answer], scores: Scores) -> None:
        """Choose the next token of each answer that has been read to its end."""
        if isinstance(scores, Exception):
            for answer in answers:
                self._fail(answer, scores)
            return
        ready = [row for row, answer in enumerate(answers) if not answer.unread]
        if len(ready) < len(answers):
            answers, scores = [answers[row] for row in ready], scores[ready]
        if not answers:
            return
        try:
            choices = choose([answer.sampler for answer in answers], scores)
        except Exception as error:  # noqa: BLE001  fails one answer, not those beside it
            if len(answers) == 1:
                self._fail(answers[0], error)
                return
            for row, answer in enumerate(answers):
                self._go_on([answer], scores[row : row + 1])
            return
        for answer, choice in zip(answers, choices, strict=True):
            self._take(answer, choice)

    def _take(self, answer: Answer, choice: Choice | Exception) -> None:
        if isinstance(choice, Exception):
            self._fail(answer, choice)
            return
        token_ids = [choice.token_id]
        constraint = answer.sampler.constraint
        if constraint is not None and choice.token_id not in self._end_token_ids:
            try:
                constraint.accept(choice.token_id)
                token_ids += forced_tokens(constraint)
            except Exception as error:  # noqa: BLE001  fails this answer, not those beside it
                self._fail(answer, error)
                return
        at = len(answer.unsaid)
        self._append(answer, token_ids)
        self._tell(answer, choice, at)
        together = answer.row is not None and self._soundness.reads_in_chunks
        if together and len(answer.unread) > _READ_TOGETHER and not _is_complete(answer):
            cache = self._company.extract(answer)
            self._turns.add(self._reading_on(answer, lambda: cache))

    def _append(self, answer: Answer, token_ids: list[int]) -> None:
        room = answer.limit - len(answer.ids)
        answer.is_cut = len(token_ids) > room
        for token_id in token_ids[:room]:
            answer.ids.append(token_id)
            answer.unsaid.append(token_id)
            answer.sampler.accept(token_id)

    def _tell(self, answer: Answer, choice: Choice | None = None, at: int = 0) -> None:
        """Report the tokens that were added, of which the one `at` was chosen.

        A forced one had no rival: the logarithm of its probability is 0.
        """
        constraint = answer.sampler.constraint
        told, answer.unsaid = tuple(answer.unsaid), []
        logprobs: list[TokenLogprobs] = []
        if answer.sampler.request.logprobs is not None:
            logprobs = [TokenLogprobs(token_id, 0.0) for token_id in told]
            if choice is not None and choice.logprobs is not None:
                logprobs[at] = choice.logprobs
        is_finished = constraint is not None and constraint.is_finished and not answer.is_cut
        before = self._outcomes.get(answer)
        if isinstance(before, Tokens):  # what was forced has been read in the same step
            told, logprobs = before.token_ids + told, [*before.logprobs, *logprobs]
        self._outcomes[answer] = Tokens(told, tuple(logprobs), is_finished)

    def _read(self) -> None:
        self._begin_reading()
        budget = READ_TOKENS_BESIDE_ANSWERS if self._company or self._alone else READ_TOKENS
        budget = min(budget, self._most_tokens)
        while budget > 0 and self._turns:
            reading = self._turns.next()
            before = reading.remaining
            try:
                logits_BV = reading.read(
                    self._forward, budget if self._soundness.reads_in_chunks else None
                )
            except Exception as error:  # noqa: BLE001  fails these answers at most
                self._turns.remove(reading)
                self._read_apart(reading, error)
                return
            budget -= before - reading.remaining
            if logits_BV is not None:
                self._turns.remove(reading)
                self._begin_answers(reading, logits_BV)

    def _begin_reading(self) -> None:
        """Form groups of the new answers that there is memory for."""
        new = [answer for answer in self._admitted() if not self._begin_after_prefix(answer)]
        groups = [[answer] for answer in new]
        if self._soundness.reads_in_groups:
            groups = group_by_length(new, lambda answer: len(answer.ids))
        for group in groups:
            self._turns.add(self._reading(group))

    def _begin_after_prefix(self, answer: Answer) -> bool:
        """Read only what stands after a beginning that has been read before, if there is one."""
        found = self._prefixes.find(answer.ids)
        if found is not None:
            answer.cached_tokens = answer.read = found.length
            self._turns.add(self._reading_on(answer, lambda: self._restored(found)))
            return True
        shared = self._prefixes.shared(answer.ids)
        if shared:  # read it alone, so that it can be remembered
            beginning = [answer.ids[:shared]]
            self._turns.add(Reading([answer], beginning, self._forward.new_cache))
        return bool(shared)

    def _restored(self, found: Found) -> Any:
        return restore(self._forward.new_cache(), found.taken, found.length)

    def _reading_on(self, answer: Answer, make_cache: Callable[[], Any]) -> Reading[Answer]:
        return Reading([answer], [answer.unread], make_cache, answer.read)

    def _admitted(self) -> list[Answer]:
        """New answers in the order of arrival, as many as fit beside those that have begun."""
        if not self._new:
            return []
        begun = [answer for reading in self._turns.readings for answer in reading.states]
        begun += [*self._company.answers, *self._alone]
        rows, columns = len(begun), max((answer.limit for answer in begun), default=0)
        admitted = 0
        for answer in self._new:
            rows, columns = rows + 1, max(columns, answer.limit)
            if rows > 1 and self._sizes.bytes_for(rows, columns) > self._max_cache_bytes:
                break
            admitted += 1
        new, self._new = self._new[:admitted], self._new[admitted:]
        return new

    def _reading(self, answers: list[Answer]) -> Reading[Answer]:
        has_cache = self._soundness.mode is not Mode.UNCACHED
        make_cache = self._forward.new_cache if has_cache else lambda: None
        return Reading(answers, [answer.ids for answer in answers], make_cache)

    def _read_apart(self, reading: Reading[Answer], error: Exception) -> None:
        """After a failure, try each answer of a group by itself, and smaller pieces of a prompt."""
        answers = [answer for answer in reading.states if not answer.has_ended]
        if len(reading.states) == 1:
            is_first_part = reading.lengths[0] - answers[0].read == len(answers[0].ids)
            if not (is_first_part and self._finds_memory(error)):
                self._fail(answers[0], error)
                return
        for answer in answers:
            self._turns.add(self._reading([answer]))

    def _finds_memory(self, error: Exception) -> bool:
        """Whether a prompt may be tried again: in smaller pieces, which stay small from now on."""
        if not is_out_of_memory(error) or self._most_tokens <= _FEWEST_TOKENS:
            return False
        self._most_tokens = max(_FEWEST_TOKENS, self._most_tokens // 2)
        self._prefixes.clear()
        torch.cuda.empty_cache()
        return self._soundness.reads_in_chunks

    def _begin_answers(self, reading: Reading[Answer], logits_BV: Tensor) -> None:
        rows = [row for row, answer in enumerate(reading.states) if not answer.has_ended]
        answers = [reading.states[row] for row in rows]
        for row, answer in zip(rows, answers, strict=True):
            answer.read = reading.lengths[row]
        if answers and answers[0].unread:  # what it shares with others was read by itself
            self._remember(reading)
            self._turns.add(self._reading_on(answers[0], lambda: reading.cache))
            return
        if not answers:
            return
        if self._soundness.mode is Mode.TOGETHER:
            try:
                self._company.join(answers, reading.cache, rows)
            except Exception as error:  # noqa: BLE001  fails these answers, not the others
                self._go_on(answers, error)
                return
        else:
            (answer,) = answers
            answer.cache = reading.cache
            self._alone.append(answer)
        self._go_on(answers, logits_BV[rows])
        self._remember(reading)

    def _remember(self, reading: Reading[Answer]) -> None:
        for row, (answer, length) in enumerate(zip(reading.states, reading.lengths, strict=True)):
            if not isinstance(self._outcomes.get(answer), Exception):
                taking = partial(take, reading.cache, row, length)
                self._prefixes.add(answer.ids[:length], taking, is_prompt=True)

    def _fail(self, answer: Answer, error: Exception) -> None:
        if is_out_of_memory(error):
            self._prefixes.clear()  # memory for the next ones
            torch.cuda.empty_cache()
            text = (
                f"{self._forward.device} had no memory left for this request; ask for less at a "
                "time, or give the engine fewer answers at once (max_active)"
            )
            failure = OutOfMemoryError(text)
            failure.__cause__ = error
            error = failure
        self._outcomes[answer] = error

    def _count_bytes(self) -> None:
        caches = [answer.cache for answer in self._alone if answer.cache is not None]
        caches += [reading.cache for reading in self._turns.readings if reading.cache is not None]
        self.nbytes = self._company.nbytes + self._prefixes.nbytes + sum(map(cache_bytes, caches))


def _is_complete(answer: Answer) -> bool:
    constraint = answer.sampler.constraint
    is_finished = constraint is not None and constraint.is_finished
    return is_finished or len(answer.ids) >= answer.limit
