"""What a local agent is made of, whatever it is made from."""

from typing import Any, Self

from pydantic import ConfigDict, Field, PositiveInt, ValidationError

from agents._suggest import did_you_mean
from agents.llm.chat import OverflowPolicy
from agents.llm.dialogue.sampling import Sampling
from agents.llm.engines import EngineConfig, LLMInitializationError
from agents.llm.engines.errors import UnknownBackendError, problems_of
from agents.llm.engines.factory import BACKENDS
from agents.llm.engines.request import TokenChoice

# What other systems call our backends.
ALIASES = {"huggingface": "transformers", "llama.cpp": "llamacpp", "llama_cpp": "llamacpp"}


class AgentSettings(TokenChoice):
    """A model, how it answers, and what happens to conversations that are too long.

    Attributes:
        model: a folder, or a model's name on the hub, or what else the backend knows.
        backend: `huggingface` is `transformers`, and `llama.cpp` is `llamacpp`.
        load_in_8bit: needs bitsandbytes; so does `load_in_4bit`. Only one of them.
        context_window: tokens of a prompt and its answer; never more than the model has.
        overflow: `refuse`, or `drop_oldest` to leave out the oldest turns.
        max_rounds: how often the model may be asked for one answer with tools.
        options: settings of the backend alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1)
    backend: str = "transformers"
    device: str = "auto"
    torch_dtype: str = "auto"
    context_window: PositiveInt = 4096
    overflow: OverflowPolicy = "refuse"
    max_rounds: PositiveInt = 8
    trust_remote_code: bool = False
    revision: str | None = None
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The settings, checked.

        Raises:
            LLMInitializationError: one is unknown or makes no sense, by name.
        """
        for name in given:
            if name not in cls.model_fields:
                hint = did_you_mean(name, cls.model_fields, otherwise="leave it out")
                raise LLMInitializationError(f"an agent has no setting {name!r}{hint}")
        try:
            settings = cls.model_validate(given)
            settings.engine_config  # noqa: B018  its fields are checked, too
        except ValidationError as error:
            raise LLMInitializationError(
                f"the settings of the agent: {problems_of(error)}"
            ) from None
        return settings

    @property
    def engine_config(self) -> EngineConfig:
        """Equal for agents that can share a model.

        Raises:
            LLMInitializationError: the backend does not exist, or both quantizations are wanted.
        """
        backend = ALIASES.get(self.backend, self.backend)
        if backend not in BACKENDS:
            raise UnknownBackendError(self.backend, {*BACKENDS, *ALIASES})
        if self.load_in_8bit and self.load_in_4bit:
            raise LLMInitializationError(
                "load_in_8bit and load_in_4bit exclude each other; set one of them"
            )
        options = dict(self.options)
        options |= {name: True for name in ("load_in_8bit", "load_in_4bit") if getattr(self, name)}
        return EngineConfig(
            model=self.model,
            backend=backend,
            device=self.device,
            dtype=self.torch_dtype,
            context_window=self.context_window,
            trust_remote_code=self.trust_remote_code,
            revision=self.revision,
            options=options,
        )

    @property
    def sampling(self) -> Sampling:
        return Sampling(**self.model_dump(include=set(TokenChoice.model_fields)))
