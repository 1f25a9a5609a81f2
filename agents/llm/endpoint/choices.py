"""One choice of an answer while it grows, in the shapes of the two kinds of completion."""

import codecs
import json
import math
import uuid
from collections.abc import Sequence
from typing import Any

from agents.llm.endpoint.plan import Plan
from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.generation import Finished, FinishReason, TextDelta, TokenLogprobs
from agents.llm.engines.loaded import LoadedTokenizer
from agents.llm.parsing import Collector, Parsed, Part, Text, Thinking, ToolCall

Json = dict[str, Any]

_NEVER = -9999.0


class ChatChoice:
    """A choice of `/v1/chat/completions`.

    Calls are given out at the end, when it is certain that they are none of the reasoning.
    """

    def __init__(self, index: int, plan: Plan, *, is_parallel: bool) -> None:
        self.is_complete = False
        self._index = index
        self._plan = plan
        self._is_parallel = is_parallel
        self._parser = plan.reading.parser()
        self._collector = Collector()
        self._logprobs: list[Json] = []
        self._reason = ""
        self._content = ""
        self._calls: list[Json] = []

    def begin(self) -> list[Json]:
        return [self._piece({"role": "assistant", "content": ""})]

    def take(self, delta: TextDelta) -> list[Json]:
        logprobs = [shown(entry, self._plan.tokens) for entry in delta.logprobs]
        self._logprobs += logprobs
        return self._shown(self._parser.push(delta.text), logprobs)

    def end(self, finished: Finished) -> list[Json]:
        reading = self._plan.reading
        pieces = self._shown(reading.last_parts(self._parser, finished), [])
        parsed, _ = reading.whole(self._collector.parsed, finished)
        calls = list(parsed.tool_calls)
        self._content = "" if self._plan.is_call else parsed.text
        if not self._is_parallel:
            calls = calls[:1]
        for call in calls:
            pieces += self._called(call)
        self._reason = _reason(finished)
        if self._calls and self._reason == "stop":  # what was cut may have had more of them
            self._reason = "tool_calls"
        return [*pieces, self._piece({}, reason=self._reason)]

    def whole(self) -> Json:
        message: Json = {"role": "assistant", "content": self._content, "refusal": None}
        if self._collector.parsed.thinking:
            message["reasoning_content"] = self._collector.parsed.thinking
        if self._calls:
            message["content"] = self._content or None
            message["tool_calls"] = self._calls
        logprobs = {"content": self._logprobs, "refusal": None} if self._logprobs else None
        return {
            "index": self._index,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": self._reason,
        }

    def _shown(self, parts: Sequence[Part], logprobs: list[Json]) -> list[Json]:
        deltas: list[Json] = []
        for part in parts:
            if self.is_complete:
                break
            self._collector.add(part)
            if isinstance(part, Thinking):
                deltas.append({"reasoning_content": part.text})
            elif isinstance(part, Text) and not self._plan.is_call:
                deltas.append({"content": part.text})
            elif isinstance(part, ToolCall) and not self._is_parallel:
                self.is_complete = True
        if logprobs and not deltas:
            deltas.append({"content": ""})
        pieces = [self._piece(delta) for delta in deltas]
        if logprobs:
            pieces[0]["logprobs"] = {"content": logprobs, "refusal": None}
        return pieces

    def _called(self, call: ToolCall) -> list[Json]:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        grammar = self._plan.strict.get(call.name)
        if grammar is not None and not _fits(arguments, grammar):
            text = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
            self._content += text
            return [self._piece({"content": text})]
        given = {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": call.name, "arguments": arguments},
        }
        self._calls.append(given)
        return [self._piece({"tool_calls": [{"index": len(self._calls) - 1, **given}]})]

    def _piece(self, delta: Json, *, reason: str | None = None) -> Json:
        return {"index": self._index, "delta": delta, "logprobs": None, "finish_reason": reason}


class TextChoice:
    """A choice of `/v1/completions`."""

    def __init__(self, index: int, plan: Plan, *, has_token_ids: bool) -> None:
        self.is_complete = False
        self._index = index
        self._tokens = plan.tokens
        self._reading = plan.reading
        self._has_token_ids = has_token_ids
        self._texts: list[str] = []
        self._token_ids: list[int] = []
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._logprobs: Json = {
            "tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []
        }  # fmt: skip
        self._reason = ""

    def begin(self) -> list[Json]:
        return []

    def take(self, delta: TextDelta) -> list[Json]:
        self._texts.append(delta.text)
        self._token_ids += delta.token_ids
        logprobs = self._told(delta.logprobs) if delta.logprobs else None
        piece = self._piece(delta.text, logprobs)
        if self._has_token_ids:
            piece["token_ids"] = list(delta.token_ids)
        return [piece]

    def end(self, finished: Finished) -> list[Json]:
        self._reading.whole(Parsed(text="".join(self._texts)), finished)
        self._reason = _reason(finished)
        piece = self._piece("", None)
        if self._has_token_ids:
            piece["token_ids"] = list(finished.token_ids[len(self._token_ids) :])
            self._token_ids = list(finished.token_ids)
        return [piece]

    def whole(self) -> Json:
        logprobs = self._logprobs if self._logprobs["tokens"] else None
        whole = self._piece("".join(self._texts), logprobs)
        if self._has_token_ids:
            whole["token_ids"] = self._token_ids
        return whole

    def _told(self, entries: Sequence[TokenLogprobs]) -> Json:
        told: Json = {name: [] for name in self._logprobs}
        for entry in entries:
            spelt, top = _spelt_entry(entry, self._tokens)
            told["tokens"].append(_as_key(spelt))
            told["token_logprobs"].append(_finite(entry.logprob))
            told["top_logprobs"].append({_as_key(each): _finite(p) for each, p in top})
            told["text_offset"].append(self._offset)
            self._offset += len(self._decoder.decode(spelt))
        for name, values in told.items():
            self._logprobs[name] += values
        return told

    def _piece(self, text: str, logprobs: Json | None) -> Json:
        return {
            "index": self._index,
            "text": text,
            "logprobs": logprobs,
            "finish_reason": self._reason or None,
        }


Choice = ChatChoice | TextChoice
"""Takes what an engine says; gives it out in pieces, and as a whole."""


def shown(entry: TokenLogprobs, tokens: LoadedTokenizer | None) -> Json:
    """A token's log-probabilities as OpenAI's API has them."""
    spelt, top = _spelt_entry(entry, tokens)
    return {
        **_token(spelt, entry.logprob),
        "top_logprobs": [_token(each, logprob) for each, logprob in top],
    }


def _token(spelt: bytes, logprob: float) -> Json:
    return {
        "token": spelt.decode(errors="replace"),
        "logprob": _finite(logprob),
        "bytes": list(spelt),
    }


def _spelt_entry(
    entry: TokenLogprobs, tokens: LoadedTokenizer | None
) -> tuple[bytes, list[tuple[bytes, float]]]:
    """What a token spells, and the likeliest ones with their log-probabilities."""
    numbers = [logprob for _, logprob in entry.top]
    if entry.spelt is not None:
        return entry.spelt, list(zip(entry.spelt_top, numbers, strict=True))
    top = [_spelt(token_id, tokens) for token_id, _ in entry.top]
    return _spelt(entry.token_id, tokens), list(zip(top, numbers, strict=True))


def _spelt(token_id: int | None, tokens: LoadedTokenizer | None) -> bytes:
    if token_id is None or tokens is None or not tokens.tells_spelling:
        return f"<{token_id}>".encode()
    return token_bytes(tokens, token_id)


def _as_key(spelt: bytes) -> str:
    """A token's text, or its bytes where they are a part of a character: tokens stay distinct."""
    try:
        return spelt.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelt)


def _finite(logprob: float) -> float:
    """No JSON says minus infinity: -9999 is what OpenAI's API gives for what never comes.

    So it does for NaN, what an engine says that does not know.
    """
    return _NEVER if math.isnan(logprob) else max(logprob, _NEVER)


def _fits(arguments: str, grammar: Any) -> bool:
    try:
        grammar.parse(arguments)
    except LLMInferenceError:
        return False
    return True


def _reason(finished: Finished) -> str:
    return "length" if finished.reason is FinishReason.LENGTH else "stop"


def vocabulary_for(loaded: LoadedTokenizer) -> Any:
    """The vocabulary of a tokenizer, made once; blocks while it is.

    Raises:
        VocabularyError: its tokens do not say what they spell.
    """
    from agents.llm import structured  # noqa: PLC0415  llguidance is an extra

    return structured.vocabulary_for(loaded.tokenizer, loaded.end_token_ids)


def token_bytes(loaded: LoadedTokenizer, token_id: int) -> bytes:
    """What a token spells; for a special one how it is written."""
    written = getattr(loaded.tokenizer, "written", None)
    if written is not None:  # without llguidance
        return bytes(written(token_id))
    spelt: bytes = vocabulary_for(loaded).tokens[token_id]
    return spelt or str(loaded.tokenizer.convert_ids_to_tokens(token_id) or "").encode()
