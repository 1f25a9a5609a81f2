"""How an answer is chosen, by the names of this package."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from agents._suggest import nearest
from agents.llm.dialogue.sampling import Sampling
from agents.llm.engines.errors import InvalidRequestError, problems_of
from agents.llm.engines.request import NewTokens, Seed, StopStrings, Temperature, TopP

# What others call them.
_SYNONYMS = {
    "temperature": "temp",
    "max_new_tokens": "max_tokens",
    "max_length": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "n_predict": "max_tokens",
    "random_seed": "seed",
    "stop_strings": "stop",
}


class InferenceKwargs(BaseModel):
    """What may be said of an answer; the rest is as in `GenerationRequest`.

    Attributes:
        temp: the temperature; 0 chooses the likeliest token.
        max_tokens: limit on new tokens. None: up to 512, or what the context window leaves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temp: Temperature = 0.7
    seed: Seed | None = None
    max_tokens: NewTokens | None = None
    top_k: NonNegativeInt = 50
    top_p: TopP = 0.9
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    stop: StopStrings = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The values, checked; None leaves one at its default.

        Raises:
            InvalidRequestError: one is unknown or makes no sense, by name.
        """
        for name in given:
            if name not in cls.model_fields:
                raise InvalidRequestError(f"there is no inference_kwarg {name!r}; {_hint(name)}")
        try:
            return cls.model_validate({k: v for k, v in given.items() if v is not None})
        except ValidationError as error:
            raise InvalidRequestError(f"inference_kwargs: {problems_of(error)}") from None

    def but(self, given: Mapping[str, Any]) -> Self:
        """The same with other values; None leaves one as it is.

        Raises:
            InvalidRequestError: as `of`.
        """
        wanted = {name: value for name, value in given.items() if value is not None}
        return self.of({**self.model_dump(), **wanted})

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temp,
            max_new_tokens=self.max_tokens,
            **self.model_dump(exclude={"temp", "max_tokens"}),
        )


def _hint(name: str) -> str:
    names = list(InferenceKwargs.model_fields)
    meant = _SYNONYMS.get(name) or nearest(name, names)
    return f"did you mean {meant!r}?" if meant else f"known: {', '.join(names)}"
