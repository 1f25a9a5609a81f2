"""Structured output for people with a model and a decoding loop of their own.

`StructuringEngine` has two steps for a loop: `process_logits` before a token is chosen, `sample`
to choose it. `StructuringMixin` puts them into the `generate` of a transformers model:

    class Model(StructuringMixin, PhiForCausalLM): ...

    model = Model.from_pretrained(folder)
    model.engine = StructuringEngine(tokenizer)
    model.engine.configure(Person, max_new_tokens=100)
    model.generate(**tokenizer("Ada is 36.", return_tensors="pt"), do_sample=True)
    model.engine.result()  # Person(name=…, age=…)

Suffixes: B batch, T time, V vocabulary.
"""

# ruff: noqa: N803, N806  shape suffixes in names

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS
from agents.llm.structured.errors import ConstraintError
from agents.llm.structured.grammar import CompiledGrammar, Grammar
from agents.llm.structured.matcher import Matcher
from agents.llm.structured.sources import grammar_of
from agents.llm.structured.vocabulary import Vocabulary, vocabulary_of

Sampler = Callable[[Tensor], Tensor]
"""From log-probabilities (batch, vocabulary) to one token id a row."""

_ALONE = ("num_beams", "num_beam_groups", "penalty_alpha", "prompt_lookup_num_tokens")


def multinomial(logprobs_BV: Tensor) -> Tensor:
    """Sample each row."""
    return torch.multinomial(logprobs_BV.exp(), 1).squeeze(1)


def argmax(logprobs_BV: Tensor) -> Tensor:
    """The likeliest token of each row."""
    return logprobs_BV.argmax(dim=-1)


class StructuringEngine:
    """Keeps each row of a batch within a grammar, and within its budget of tokens.

    Args:
        tokenizer: a fast Hugging Face tokenizer, what holds one under the name `tokenizer` (a
            processor does), or a vocabulary made of one.
        end_token_ids: the tokens that end an answer; without them the tokenizer's own.
    """

    def __init__(self, tokenizer: Any, *, end_token_ids: Iterable[int] | None = None) -> None:
        if not isinstance(tokenizer, Vocabulary):
            tokenizer = vocabulary_of(getattr(tokenizer, "tokenizer", tokenizer), end_token_ids)
        self.vocabulary: Vocabulary = tokenizer
        self.max_new_tokens = self._limit = DEFAULT_MAX_NEW_TOKENS
        self._grammar: Grammar | None = None
        self._compiled: CompiledGrammar | None = None
        self._matchers: list[Matcher] = []
        self._accepted: list[int] = []
        self._prompt_tokens = 0

    def configure(self, structure: Any, *, max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS) -> None:
        """Say what the next answers must be, and forget those before.

        Args:
            structure: a `Grammar`, a JSON schema, or a type of pydantic's.
            max_new_tokens: tokens of an answer, without an end token.

        Raises:
            SchemaError: it cannot be enforced.
            BudgetTooSmallError: the shortest answer takes more tokens.
        """
        grammar = grammar_of(structure)
        compiled = grammar.compile(self.vocabulary)
        compiled.matcher(max_new_tokens)
        self._grammar, self._compiled = grammar, compiled
        self.max_new_tokens = max_new_tokens
        self.reset()

    def reset(self, max_new_tokens: int | None = None) -> None:
        """Begin new answers of the same structure.

        Args:
            max_new_tokens: tokens of each of them; None for what `configure` was told.

        Raises:
            BudgetTooSmallError: the shortest answer takes more.
        """
        self._limit = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        self._configured.matcher(self._limit)
        self._matchers, self._accepted, self._prompt_tokens = [], [], 0

    def constraint(self, max_new_tokens: int | None = None) -> Matcher:
        """Begin one new answer, which an engine writes; `text` and `result` tell of it, too.

        Args:
            max_new_tokens: tokens of it; None for what `configure` was told.

        Raises:
            ConstraintError: there is no structure yet.
            BudgetTooSmallError: the shortest answer takes more tokens.
        """
        self.reset(max_new_tokens)
        matcher = self._configured.matcher(self._limit)
        self._matchers, self._accepted = [matcher], [0]
        return matcher

    @property
    def grammar(self) -> Grammar:
        """What answers must be.

        Raises:
            ConstraintError: there is no structure yet.
        """
        assert self._configured is not None
        assert self._grammar is not None
        return self._grammar

    @property
    def is_finished(self) -> bool:
        """Whether each answer is complete."""
        return bool(self._matchers) and all(m.is_finished for m in self._matchers)

    def finished(self) -> Tensor:
        """For each row whether its answer is complete."""
        return torch.tensor([m.is_finished for m in self._matchers], dtype=torch.bool)

    @property
    def limit(self) -> int:
        """Tokens of the answers that are being written."""
        return self._limit

    def process_logits(self, input_ids_BT: Tensor, scores_BV: Tensor) -> Tensor:
        """The scores with those of forbidden tokens at minus infinity.

        Args:
            input_ids_BT: the prompts and what was generated so far. The first call's are all
                prompt; tokens that came since, and not through `sample`, are followed.
            scores_BV: logits or log-probabilities of the next token.

        Raises:
            ConstraintError: a token was added that is not allowed, or none that is allowed has a
                score.
        """
        self.follow(input_ids_BT)
        forbidden_BV = torch.ones(scores_BV.shape, dtype=torch.bool)
        for row, matcher in enumerate(self._matchers):
            allowed = torch.from_numpy(matcher.allowed()[: scores_BV.shape[1]])
            forbidden_BV[row, : len(allowed)] = ~allowed
        masked_BV = scores_BV.masked_fill(forbidden_BV.to(scores_BV.device), -torch.inf)
        for row in (~masked_BV.isfinite().any(dim=1)).nonzero().flatten().tolist():
            if not self._matchers[row].is_finished:
                raise ConstraintError(
                    f"no token that may follow {self.text(row)[-40:]!r} has a score: the model's "
                    "are no numbers, or something else forbids what the structure needs; leave out "
                    "no_repeat_ngram_size, bad_words_ids, suppress_tokens and the like"
                )
            masked_BV[row] = scores_BV[row]  # whatever it is, it is not part of the answer
        return masked_BV

    def sample(self, logprobs_BV: Tensor, sampler: Sampler = multinomial) -> Tensor:
        """Choose a token for each row and go on with it.

        Args:
            logprobs_BV: log-probabilities after `process_logits`.
            sampler: chooses; `multinomial`, `argmax` or one of your own.
        """
        token_ids_B = sampler(logprobs_BV)
        for row, token_id in enumerate(token_ids_B.tolist()):
            self._accept(row, token_id)
        return token_ids_B

    def forced(self, row: int = 0) -> tuple[int, ...]:
        """The tokens that must come next in a row; add them without asking the model."""
        return self._matchers[row].forced() if self._matchers else ()

    def text(self, row: int = 0) -> str:
        """The answer of a row so far."""
        return self._matchers[row].text if self._matchers else ""

    def result(self, row: int = 0) -> Any:
        """The value of a row's answer.

        Raises:
            ResultError: it is not complete, or a validator written in Python refuses it.
        """
        return self.grammar.parse(self.text(row))

    @property
    def _configured(self) -> CompiledGrammar:
        if self._compiled is None:
            raise ConstraintError("the engine has no structure yet; call configure")
        return self._compiled

    def follow(self, input_ids_BT: Tensor) -> None:
        """Go on with what was added to the prompts since; as `process_logits`, without scores.

        Raises:
            ConstraintError: a token was added that is not allowed.
        """
        compiled = self._configured
        if not self._matchers:
            rows, self._prompt_tokens = input_ids_BT.shape
            self._matchers = [compiled.matcher(self._limit) for _ in range(rows)]
            self._accepted = [0] * rows
        for row, ids in enumerate(input_ids_BT[:, self._prompt_tokens :].tolist()):
            for token_id in ids[self._accepted[row] :]:
                self._accept(row, token_id)

    def _accept(self, row: int, token_id: int) -> None:
        self._accepted[row] += 1
        if not self._matchers[row].is_finished:
            self._matchers[row].accept(token_id)


class StructuringMixin:
    """Puts an engine into the `generate` of a transformers model; stands before its class.

    Attributes:
        engine: what answers must be; None leaves `generate` as it is.
    """

    engine: StructuringEngine | None = None

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """`generate` of the model with the engine's structure.

        The answer is complete within `max_new_tokens`, or the engine's own limit without it.

        Raises:
            InvalidRequestError: an argument asks for a way of decoding that looks ahead.
            BudgetTooSmallError: the shortest answer takes more tokens.
        """
        engine = self.engine
        if engine is None:
            return super().generate(*args, **kwargs)  # type: ignore[misc]
        _refuse_search(kwargs, getattr(self, "generation_config", None))
        engine.reset(_limit(kwargs))
        kwargs["logits_processor"] = [*kwargs.get("logits_processor", ()), _Processor(engine)]
        kwargs["stopping_criteria"] = [*kwargs.get("stopping_criteria", ()), _Stop(engine)]
        # One more for the end token, which does not belong to the answer.
        kwargs["max_new_tokens"] = engine.limit + 1
        return super().generate(*args, **kwargs)  # type: ignore[misc]


class _Processor(LogitsProcessor):
    def __init__(self, engine: StructuringEngine) -> None:
        self._engine = engine

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self._engine.process_logits(input_ids, scores)


class _Stop(StoppingCriteria):
    def __init__(self, engine: StructuringEngine) -> None:
        self._engine = engine

    def __call__(self, input_ids: Tensor, *_: Any, **__: Any) -> Tensor:
        self._engine.follow(input_ids)
        return self._engine.finished().to(input_ids.device)


def _limit(kwargs: Mapping[str, Any]) -> int | None:
    """The tokens that a call allows an answer; None where it does not say."""
    if kwargs.get("max_length") is not None:
        raise InvalidRequestError("max_length counts the prompt, too; give max_new_tokens")
    config = kwargs.get("generation_config")
    limit: int | None = kwargs.get("max_new_tokens", getattr(config, "max_new_tokens", None))
    return limit


def _refuse_search(kwargs: Mapping[str, Any], usual: Any) -> None:
    config = kwargs.get("generation_config") or usual
    for name in _ALONE:
        value = kwargs.get(name, getattr(config, name, None))
        if value not in (None, 1):
            raise InvalidRequestError(
                f"{name}={value} follows several answers at once, which a structure cannot; leave "
                "it out"
            )
    if kwargs.get("assistant_model") is not None:
        raise InvalidRequestError("an assistant model looks ahead, which a structure cannot")
