"""What a read returns: frozen data that is written as JSON, and whose schema can be told."""

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """One thing that an operator reads of a guild."""

    model_config = ConfigDict(frozen=True, extra="forbid")
