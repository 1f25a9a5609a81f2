"""What the optimizer agent is asked and what it answers."""

from typing import Any, Literal

from agents.llm.dialogue.usage import Usage
from messaging.wire.message import Message


class ConfigureOptimizer(Message, wire_name="research.configure_optimizer"):
    """Register a configuration, or a class that is written first, under `config_name`.

    Attributes:
        optimizer_details: for `generate_config` type, default_params and param_groups; for
            `register_custom_optimizer` description, base_optimizer and additional_params.
        output_script_path: for `register_custom_optimizer`, where the class is written to.
    """

    action: Literal["generate_config", "register_custom_optimizer"]
    config_name: str
    optimizer_details: dict[str, Any] | None = None
    output_script_path: str | None = None


class OptimizerConfigured(Message, wire_name="research.optimizer_configured"):
    """The configuration is registered: its name serves as `optimizer`, as `config` itself does."""

    config_name: str
    config: dict[str, Any]


class OptimizerRegistered(Message, wire_name="research.optimizer_registered"):
    """The class is written and registered: its name serves as an optimizer's `type`.

    Attributes:
        generated_by: who wrote it.
        wrote: a rule of parts, of which its source was made, or the code itself.
        attempts: how often the language model was asked; 0 when an answer from before served.
        usage: what its answers cost, those that did not pass too.
        checks: what the optimizer was seen to do.
    """

    status: Literal["success"] = "success"
    config_name: str
    script_path: str
    generated_by: Literal["llm"]
    wrote: Literal["rule", "code"]
    attempts: int
    usage: Usage
    checks: tuple[str, ...]
