import json
from typing import Any

import pytest
from pydantic import ValidationError

from agents.llm.chat import ChatCall, ChatMessage, chat_messages
from agents.llm.parsing import ToolCall

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def test_openais_messages_are_read_and_written_again() -> None:
    given: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "2", "tool_call_id": "c1", "name": "f"},
    ]

    messages = chat_messages(given)

    assert messages[2].tool_calls == (ChatCall(id="c1", name="f", arguments={"a": 1}),)
    assert [message.to_openai() for message in messages] == given


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ("a", "a"),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        (["a"], "a"),
    ],
)
def test_content_is_text_or_parts_of_text(given: Any, content: str) -> None:
    assert ChatMessage.model_validate({"role": "user", "content": given}).content == content


def test_other_names_of_roles_and_fields_of_other_makers_are_understood() -> None:
    assert ChatMessage.model_validate({"role": "developer", "content": "x"}).role == "system"
    given = {"role": "assistant", "content": "x", "tool_calls": None, "refusal": None}
    assert ChatMessage.model_validate(given).tool_calls == ()


@pytest.mark.parametrize("given", ['{"a": 1}', {"a": 1}])
def test_arguments_may_be_text_or_object(given: Any) -> None:
    assert ChatCall.model_validate({"name": "f", "arguments": given}).arguments == {"a": 1}


@pytest.mark.parametrize("given", ["", " ", None])
def test_no_arguments_are_an_empty_object(given: Any) -> None:
    assert ChatCall.model_validate({"name": "f", "arguments": given}).arguments == {}


def test_a_parsed_call_is_a_call() -> None:
    message = ChatMessage.model_validate(
        {"role": "assistant", "tool_calls": [ToolCall("f", {"a": 1}, "c1")]}
    )

    assert message.tool_calls == (ChatCall(id="c1", name="f", arguments={"a": 1}),)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"role": "king", "content": "x"}, "role"),
        ({"content": "x"}, "role"),
        ({"role": "user", "content": 3}, "valid string"),
        ({"role": "user", "content": "half \ud83c"}, "content"),
        (
            {"role": "user", "content": [{"type": "image_url"}]},
            "'image_url'; only text can be read",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, "only text can be read"),
        ({"role": "user", "content": [3]}, "'int'; only text can be read"),
        ({"role": "user", "tool_calls": [CALL]}, "a message of the user has tool calls"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "the arguments are no JSON",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]},
            "valid dictionary",
        ),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "name"),
    ],
)
def test_what_is_no_message_is_refused(given: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        chat_messages([given])


def test_deeply_nested_arguments_are_refused_like_others() -> None:
    call = {"name": "f", "arguments": "[" * 100_000}

    with pytest.raises(ValidationError, match="no JSON"):
        ChatCall.model_validate(call)


def test_arguments_keep_their_letters() -> None:
    message = ChatMessage(role="assistant", tool_calls=(ChatCall(name="f", arguments={"a": "é"}),))

    written = message.to_openai()["tool_calls"][0]["function"]["arguments"]
    assert written == '{"a": "é"}'
    assert json.loads(written) == {"a": "é"}
