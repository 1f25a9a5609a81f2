"""Messages, template, engine, parser and tools put together, as a face puts them."""

from agents.llm.chat import ChatMessage, ChatPrompt, fit_window, render_chat
from agents.llm.engines import Engine, GenerationRequest
from agents.llm.engines.scripted import scripted_engine
from agents.llm.parsing import Collector, OutputParser, Parsed, Text, parse_stream
from agents.llm.tools import as_tools, run_tools


def warmth(city: str) -> int:
    """Tells how warm it is."""
    return {"Paris": 31}[city]


class Asker:
    """Asks an engine, and keeps the pieces of text that it shows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tools = as_tools([warmth])
        self.shown: list[str] = []

    async def __call__(self, messages: list[ChatMessage]) -> Parsed:
        fitted = fit_window(
            messages,
            lambda kept: len(self._render(kept).text),
            context_window=2000,
            new_tokens=100,
            policy="drop_oldest",
        )
        prompt = self._render(fitted.messages)
        request = GenerationRequest(prompt=prompt.text, stop=prompt.stop)
        parser = OutputParser(
            is_thinking=prompt.is_thinking,
            tools={name: tool.parameters for name, tool in self._tools.items()},
        )
        collector = Collector()
        async with await self._engine.submit(request) as generation:
            async for part in parse_stream(generation.text(), parser):
                collector.add(part)
                if isinstance(part, Text):
                    self.shown.append(part.text)
        return collector.parsed

    def _render(self, messages: tuple[ChatMessage, ...] | list[ChatMessage]) -> ChatPrompt:
        return render_chat(messages, tools=[tool.schema for tool in self._tools.values()])


async def test_a_question_is_answered_with_the_help_of_a_tool() -> None:
    outputs = [
        "<think>I need the warmth.</think>I look.\n\nTOOL_CALL: warmth(city=Paris)",
        "<think>31, then.</think>It is warm: 31 degrees.\nUser: and",
    ]
    engine = scripted_engine(outputs)
    try:
        asker = Asker(engine)
        run = await run_tools(asker, [{"role": "user", "content": "How warm is it?"}], [warmth])
    finally:
        await engine.close()

    assert run.answer.text == "It is warm: 31 degrees."
    assert run.answer.thinking == "31, then."
    assert [message.role for message in run.messages] == ["user", "assistant", "tool", "assistant"]
    assert run.messages[2].content == "31"
    assert "".join(asker.shown) == "I look.It is warm: 31 degrees."
    assert len(asker.shown) > 3
