"""The language models that a guild spec names, for clients of OpenAI's API."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.llm.bus.chat_agent import ChatAgent, ChatAgentProps
from agents.llm.bus.phi_agent import LLMPhiAgent, PhiAgentProps
from agents.llm.bus.resources import ModelsProps
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.registry import DEFAULT_IDLE_UNLOAD_S
from guild.checking.plan import Plan

Props = ChatAgentProps | PhiAgentProps


@dataclass(frozen=True)
class ServedModel:
    """A model as clients know it.

    Attributes:
        agent: id of the agent that uses it, by which clients name it.
        name: the model's own name, which serves as well; "" where it is a path, or two agents use
            the model.
        defaults: parameters of OpenAI's API for requests that do not say them.
    """

    agent: str
    name: str
    config: EngineConfig
    defaults: dict[str, Any]


def served_models(plan: Plan) -> list[ServedModel]:
    """The models of the `llm.chat` and `llm.phi` agents of a spec, in its order.

    Of `overflow` nothing is read: a conversation that does not fit is refused to clients.

    Raises:
        SpecError: a secret is not there.
    """
    found = list(_language_agents(plan))
    ids = {agent.id for agent in plan.spec.agents}
    uses = Counter(_model_of(props) for _, props in found)
    return [_served(agent, props, uses, ids) for agent, props in found]


def idle_unload_s(plan: Plan) -> float | None:
    """Seconds after which the spec lets an unused model go; of several the longest."""
    props = [plan.resource_properties(name) for name in plan.spec.resources]
    times = [each.idle_unload_s for each in props if isinstance(each, ModelsProps)]
    known = [time for time in times if time is not None]
    return None if len(known) < len(times) else max(known, default=DEFAULT_IDLE_UNLOAD_S)


def _language_agents(plan: Plan) -> Iterator[tuple[str, Props]]:
    for index, agent in enumerate(plan.spec.agents):
        if issubclass(plan.agents[agent.id], (ChatAgent, LLMPhiAgent)):
            props = plan.agent_properties(index)
            assert isinstance(props, (ChatAgentProps, PhiAgentProps))
            yield agent.id, props


def _served(agent: str, props: Props, uses: Counter[str], ids: set[str]) -> ServedModel:
    model = _model_of(props)
    is_name = not _is_path(model) and uses[model] == 1 and model not in ids
    defaults: dict[str, Any] = {
        "temperature": props.temperature if props.do_sample else 0.0,
        "top_p": props.top_p,
        "top_k": props.top_k,
        "stop": props.stop,
        "seed": props.seed,
        "max_tokens": props.max_new_tokens,
    }
    known = {name: value for name, value in defaults.items() if value not in (None, ())}
    return ServedModel(agent, model if is_name else "", props.engine_config, known)


def _model_of(props: Props) -> str:
    return props.model if isinstance(props, ChatAgentProps) else props.model_id


def _is_path(model: str) -> bool:
    """Whether the text would tell clients of the folders on this machine."""
    return Path(model).expanduser().exists() or model.startswith(("/", ".", "~"))
