"""Results of jobs, read as the messages that tell of them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agents.research.errors import WorkRefusedError

M = TypeVar("M", bound=BaseModel)


def read_result(kind: type[M], result: Mapping[str, Any], *, of: str) -> M:
    """What a job gave, which a script that runs in it may have forged.

    Raises:
        WorkRefusedError: it is something else; names the keys and the script, `of`.
    """
    try:
        return kind.model_validate(dict(result))
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) or "all of it" for each in error.errors())
        raise WorkRefusedError(
            "ResultError",
            f"{of}: its process gave no account of its work ({wrong[:200]} missing or wrong)",
            where=of,
        ) from error
