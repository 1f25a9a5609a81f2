"""How the tokens of an answer are chosen, apart from what is asked."""

from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from agents.llm.engines.errors import InvalidRequestError, problems_of
from agents.llm.engines.request import Choosing, GenerationRequest

M = TypeVar("M", bound=BaseModel)


class Sampling(Choosing):
    """The same for whatever is asked."""

    def but(self, **changes: Any) -> Self:
        """The same with other values; None leaves one as it is.

        Raises:
            InvalidRequestError: a value makes no sense.
        """
        wanted = {name: value for name, value in changes.items() if value is not None}
        return _checked(type(self), {**self.model_dump(), **wanted})

    def request(self, **prompt: Any) -> GenerationRequest:
        """The request for an answer to a prompt; its `stop` comes first.

        Raises:
            InvalidRequestError: together they make no sense.
        """
        stop = dict.fromkeys((*prompt.pop("stop", ()), *self.stop))
        # What is as it always is stays unsaid: not every server knows all of it.
        told = self.model_dump(exclude={"stop"}, exclude_defaults=True)
        return _checked(GenerationRequest, {**told, **prompt, "stop": tuple(stop)})


def _checked(kind: type[M], values: dict[str, Any]) -> M:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InvalidRequestError(problems_of(error)) from None
