import pytest
from pydantic import ValidationError

from agents.llm.chat import (
    AgentPayload,
    AgentResponse,
    ChatMessage,
    CodeBlock,
    InvalidChatError,
    MemoryEntryData,
    agent_response,
    allowed_tools,
    code_blocks,
    payload_messages,
)
from agents.llm.parsing import parse


def shown(payload: AgentPayload, *remembered: ChatMessage) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in payload_messages(payload, remembered)]


def test_the_documents_payload_is_a_system_message_and_a_question() -> None:
    payload = AgentPayload(
        user_message="Hello, how are you?",
        thinking_blob="",
        system_context="You are a helpful assistant.",
        user_profile={},
        tools_available=[],
        session_id="session-123",
    )

    assert shown(payload) == [
        ("system", "You are a helpful assistant."),
        ("user", "Hello, how are you?"),
    ]


def test_the_documents_memory_comes_before_the_question() -> None:
    memory = [
        MemoryEntryData(role="user", content="My name is Alice"),
        MemoryEntryData(role="assistant", content="Hello Alice!"),
    ]
    payload = AgentPayload(user_message="What is my name?", memory=memory)

    assert shown(payload) == [
        ("user", "My name is Alice"),
        ("assistant", "Hello Alice!"),
        ("user", "What is my name?"),
    ]


def test_every_field_has_an_effect() -> None:
    payload = AgentPayload(
        user_message="And now?",
        thinking_blob="She likes tea.",
        system_context="Be brief.",
        user_profile={"name": "Ada", "likes": ["tea", "é"]},
    )

    assert shown(payload)[0] == (
        "system",
        (
            'Be brief.\n\nAbout the user:\n- name: Ada\n- likes: ["tea", "é"]\n\n'
            "Your earlier reasoning:\nShe likes tea."
        ),
    )


def test_a_session_is_remembered_unless_a_memory_is_given() -> None:
    remembered = ChatMessage(role="user", content="before")

    assert shown(AgentPayload(user_message="x"), remembered) == [("user", "before"), ("user", "x")]
    assert shown(AgentPayload(user_message="x", memory=[]), remembered) == [("user", "x")]


def test_system_messages_of_the_memory_join_the_one_at_the_front() -> None:
    memory = [
        MemoryEntryData(role="user", content="a"),
        MemoryEntryData(role="system", content="b"),
    ]
    payload = AgentPayload(user_message="x", system_context="c", memory=memory)

    assert shown(payload) == [("system", "c\n\nb"), ("user", "a"), ("user", "x")]


def test_tools_are_limited_by_name() -> None:
    assert allowed_tools(AgentPayload(user_message="x"), ["a", "b"]) == ["a", "b"]
    limited = AgentPayload(user_message="x", tools_available=["b"])
    assert allowed_tools(limited, ["a", "b"]) == ["b"]
    with pytest.raises(
        InvalidChatError, match="'serch', but it is not given; did you mean 'search'"
    ):
        allowed_tools(AgentPayload(user_message="x", tools_available=["serch"]), ["search"])


@pytest.mark.parametrize(
    "given",
    [{"user_mesage": "x"}, {"user_message": "\ud83c"}, {"user_message": "x", "memory": [{}]}],
)
def test_what_is_no_payload_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AgentPayload.model_validate(given)


def test_an_output_becomes_a_response() -> None:
    output = "<think>hm</think>Look:\n```python\nx = 1\n```\nand\n```\ny\n```\nTOOL_CALL: f(a=1)"

    assert agent_response(parse(output), {"tokens": 3}) == AgentResponse(
        thinking="hm",
        response="Look:\n```python\nx = 1\n```\nand\n```\ny\n```",
        code="x = 1\n\ny",
        tool_calls=[{"name": "f", "arguments": {"a": 1}, "id": ""}],
        metadata={"tokens": 3},
    )


def test_problems_are_told_in_the_metadata() -> None:
    assert agent_response(parse("<think>hm")).metadata == {
        "problems": ["the output ends inside the reasoning"]
    }


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("```\na\n```", [CodeBlock("", "a")]),
        ("```python title=x\na\n\nb\n```", [CodeBlock("python title=x", "a\n\nb")]),
        ("```py\na\n```\ntext\n~~~\nb\n~~~", [CodeBlock("py", "a"), CodeBlock("", "b")]),
        ("````md\n```\na\n```\n````", [CodeBlock("md", "```\na\n```")]),
        ("```\na", [CodeBlock("", "a")]),
        ("- x\n  ```\n  a\n    b\n  ```", [CodeBlock("", "a\n  b")]),
        ("```inline``` text", []),
        ("```\n```", [CodeBlock("", "")]),
        ("```\r\na\r\n```", [CodeBlock("", "a\r")]),
    ],
)
def test_blocks_of_code(text: str, blocks: list[CodeBlock]) -> None:
    assert code_blocks(text) == blocks
