"""Parts of bodies and queries that several routes share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from guild.gateway.errors import InvalidParameterError
from messaging.wire.envelope import check_id


class Given(BaseModel):
    """What a caller sends: nothing unknown, and no value of it in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


TypeName = Annotated[
    str, Field(max_length=500, description="Wire name or class name of the message, see /schemas.")
]
Data = Annotated[Any, Field(description="The fields of the message, as /schemas/{type} has them.")]
Tags = Annotated[
    tuple[Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")], ...],
    Field(max_length=100, description="Ids of the agents it is for; none: all that take it."),
]
MessageId = Annotated[
    str, Field(pattern=r"^([0-9a-f]{32})?$", description="32 lower-case hex digits.")
]
TimeoutS = Annotated[float, Field(gt=0.0, description="Seconds to wait.")]
Count = Annotated[int, Field(ge=1, le=1000, description="At most so many.")]
Reason = Annotated[str, Field(max_length=4000)]


def message_id_in(path: str) -> str:
    """The message id in a path.

    Raises:
        InvalidParameterError: it is not an id.
    """
    try:
        return check_id(path)
    except ValueError as error:
        raise InvalidParameterError((f"message_id: {error}",)) from None
