"""An agent in this process: it answers payloads, remembers sessions and runs tools."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from agents.llm.agent.models import HeldModel
from agents.llm.agent.settings import AgentSettings
from agents.llm.chat import (
    AgentPayload,
    AgentResponse,
    ChatMessage,
    SessionMemory,
    agent_response,
    allowed_tools,
    payload_messages,
)
from agents.llm.dialogue import Answer, Dialogue, Usage
from agents.llm.engines import ModelRegistry
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.parsing import Collector, Parsed, Text
from agents.llm.tools import Approve, Tool, ToolRun, as_tools, run_tools


class LocalAgent:
    """Answers with the model of any backend; the model is loaded by the first question.

    Agents with the same model share it. A session is remembered where a payload names one and
    brings no memory of its own.

    Args:
        settings: the model, and how it answers.
        models: where the model comes from; by default what all agents of the event loop share.
        memory: of the sessions; by default one of its own, in this process.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        models: ModelRegistry | None = None,
        memory: SessionMemory | None = None,
    ) -> None:
        self.settings = settings
        self.memory = memory or SessionMemory()
        self._model = HeldModel(settings.engine_config, models)

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory now."""
        return self._model.is_loaded

    async def supports_streaming(self) -> bool:
        """Whether `stream` gives an answer piece by piece."""
        return True

    async def get_context_window(self) -> int:
        """Tokens of a prompt and its answer; the model's own limit counts once it is loaded."""
        if not self._model.is_loaded:
            return self.settings.context_window
        async with self._model.use() as engine:
            return engine.capabilities.context_window

    async def unload_model(self) -> None:
        """Free the model, unless another agent uses it; the next question loads it again."""
        await self._model.let_go()

    async def invoke(self, payload: AgentPayload) -> AgentResponse:
        """The whole answer.

        Raises:
            LLMError: the model cannot be loaded, the payload does not fit or the answer failed.
        """
        return await self.invoke_with_tools(payload, ())

    async def stream(self, payload: AgentPayload) -> AsyncIterator[str]:
        """The answer piece by piece, without the reasoning; leaving early cancels it.

        Raises:
            LLMError: as `invoke`.
        """
        _check_is_payload(payload)
        allowed_tools(payload, ())
        messages = self._messages(payload)
        collector = Collector()
        async with (
            self._model.use() as engine,
            await self._dialogue(engine).ask(messages) as answer,
        ):
            async for part in answer:
                collector.add(part)
                if isinstance(part, Text):
                    yield part.text
        self._remember(payload, [messages[-1], _said(collector.parsed)])

    async def invoke_with_tools(
        self,
        payload: AgentPayload,
        tools: Iterable[Tool | Callable[..., Any]],
        *,
        execute: bool = True,
        approve: Approve | None = None,
        tool_choice: str = "auto",
    ) -> AgentResponse:
        """The answer with the help of tools; every call is in the response, in order.

        Args:
            payload: its `tools_available`, if not empty, says which of the tools may be called.
            tools: functions with annotations, or `Tool`s.
            execute: run the calls and let the model go on, until it answers without a call. If
                not, the calls of its first output are for the caller to run.
            approve: asked before each call is run.
            tool_choice: `required` or the name of a tool forces valid calls in the first output;
                `none` allows no call.

        Raises:
            ToolDefinitionError: a function cannot be a tool.
            LLMError: as `invoke`.
        """
        _check_is_payload(payload)
        known = as_tools(tools)
        usable = [known[name] for name in allowed_tools(payload, known)]
        messages = self._messages(payload)
        async with self._model.use() as engine:
            asking = _Asking(self._dialogue(engine, usable), tool_choice)
            if execute:
                run = await run_tools(
                    asking, messages, usable, approve=approve, max_rounds=self.settings.max_rounds
                )
            else:
                parsed = await asking(messages)
                run = ToolRun(parsed, (*messages, _said(parsed)), (), 1, "answered")
        self._remember(payload, run.messages[len(messages) - 1 :])
        return _response(run, asking, self.settings.model)

    def _messages(self, payload: AgentPayload) -> list[ChatMessage]:
        return payload_messages(payload, self.memory.recall(payload.session_id))

    def _remember(self, payload: AgentPayload, messages: Sequence[ChatMessage]) -> None:
        if payload.memory is None:
            self.memory.remember(payload.session_id, messages)

    def _dialogue(self, engine: Any, tools: Sequence[Tool] = ()) -> Dialogue:
        return Dialogue(
            engine,
            self.settings.sampling,
            overflow=self.settings.overflow,
            tools=[tool.schema for tool in tools],
        )


def _check_is_payload(given: object) -> None:
    if not isinstance(given, AgentPayload):
        raise InvalidRequestError(
            f"an agent is asked with an AgentPayload, not with {type(given).__name__}; "
            "give AgentPayload(user_message=...)"
        )


class HuggingFaceLocalAgent(LocalAgent):
    """A local agent with a transformers model.

    Args:
        model: an id on the Hugging Face hub, or a folder that `save_pretrained` wrote.
        device: auto, cpu, cuda, cuda:N or mps.
        torch_dtype: auto, float16, float32 or bfloat16.
        max_new_tokens: limit on the tokens of an answer; None is 512, or what the context window
            leaves, and the usage says where that cut an answer.
        temperature: 0 chooses the likeliest token.
        top_p: sample from the likeliest tokens that together reach this probability.
        top_k: sample from this many likeliest tokens; 0 from all.
        do_sample: False chooses the likeliest token.
        context_window: tokens of a prompt and its answer; never more than the model has.
        trust_remote_code: run Python code that comes with the model.
        load_in_8bit: quantize with bitsandbytes.
        load_in_4bit: likewise.
        models: see `LocalAgent`.
        memory: see `LocalAgent`.
        more: other fields of `AgentSettings`, such as `overflow`, `seed` and `stop`.

    Raises:
        LLMInitializationError: a setting makes no sense, by name.
    """

    def __init__(  # noqa: PLR0917 - as documented
        self,
        model: str,
        device: str = "auto",
        torch_dtype: str = "auto",
        max_new_tokens: int | None = None,
        temperature: float = 0.7,
        top_p: float = 0.9,
        top_k: int = 50,
        do_sample: bool = True,
        context_window: int = 4096,
        trust_remote_code: bool = False,
        load_in_8bit: bool = False,
        load_in_4bit: bool = False,
        *,
        models: ModelRegistry | None = None,
        memory: SessionMemory | None = None,
        **more: Any,
    ) -> None:
        settings = AgentSettings.of(
            model=model,
            device=device,
            torch_dtype=torch_dtype,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            do_sample=do_sample,
            context_window=context_window,
            trust_remote_code=trust_remote_code,
            load_in_8bit=load_in_8bit,
            load_in_4bit=load_in_4bit,
            **more,
        )
        super().__init__(settings, models=models, memory=memory)


class _Asking:
    """Asks for the outputs of one answer, and keeps what they cost."""

    def __init__(self, dialogue: Dialogue, tool_choice: str) -> None:
        self._dialogue = dialogue
        self._tool_choice = tool_choice
        self.answers: list[Answer] = []

    async def __call__(self, messages: Sequence[ChatMessage]) -> Parsed:
        choice = self._tool_choice if not self.answers or self._tool_choice == "none" else "auto"
        dialogue = self._dialogue.but(tool_choice=choice)
        if choice not in {"auto", "none"}:  # a stop string would cut the call
            dialogue = dialogue.but(sampling=dialogue.sampling.but(stop=()))
        answer = await dialogue.answer(messages)
        self.answers.append(answer)
        return answer.parsed


def _response(run: ToolRun, asking: _Asking, model: str) -> AgentResponse:
    usage = sum((answer.usage for answer in asking.answers), Usage())
    metadata = {**asking.answers[-1].metadata(model), "usage": usage.model_dump()}
    if run.results:
        metadata["rounds"] = run.rounds
        metadata["ended"] = run.ended
        metadata["tool_results"] = [
            {
                "id": result.call.id,
                "name": result.call.name,
                "result": result.text,
                "is_error": result.is_error,
            }
            for result in run.results
        ]
    response = agent_response(run.answer, metadata)
    earlier = [
        {"name": result.call.name, "arguments": result.call.arguments, "id": result.call.id}
        for result in run.results
    ]
    return response.model_copy(update={"tool_calls": [*earlier, *response.tool_calls]})


def _said(parsed: Parsed) -> ChatMessage:
    return ChatMessage(role="assistant", content=parsed.text, tool_calls=parsed.tool_calls)
