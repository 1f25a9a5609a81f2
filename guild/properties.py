"""What can be set on an agent from outside."""

from pydantic import BaseModel, ConfigDict


class BaseAgentProps(BaseModel):
    """What can be set on an agent; subclass it and give every field a sensible default.

    Unknown keys are refused, and wrong values are reported without repeating them.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=()
    )
