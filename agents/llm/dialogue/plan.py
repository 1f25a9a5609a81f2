"""From a conversation to what an engine is asked, and to how its answer is read.

An engine that takes conversations is given them as they are; for any other they are rendered, and
its answer is constrained token by token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agents.llm.chat import (
    ChatMessage,
    ChatPrompt,
    Fitted,
    OverflowPolicy,
    check_messages,
    fit_window,
    render_chat,
)
from agents.llm.dialogue.offered import check_tools
from agents.llm.dialogue.reading import (
    Reading,
    Schemas,
    parser_for,
    parser_of,
    rereader,
    verbatim,
)
from agents.llm.dialogue.sampling import Sampling
from agents.llm.dialogue.structure import (
    CannotConstrainError,
    budget,
    check_form,
    constraints,
    free_calls_of,
    grammar_of_calls,
)
from agents.llm.engines import Constraint, Engine, GenerationRequest
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS, Conversation
from agents.llm.parsing import FORMATS

if TYPE_CHECKING:
    from agents.llm.structured import Grammar


@dataclass(frozen=True)
class Wish:
    """What is asked for, whatever engine answers.

    Attributes:
        tools: what may be called, in OpenAI's shape.
        tool_choice: `auto`, `none`, `required` or the name of a tool.
        is_parallel: whether there may be several calls in an answer.
        grammar: what the answer must look like.
        overflow: what happens to a conversation that does not fit.
        question: position of the message that the answer is for; None for the user's last one.
    """

    messages: Sequence[ChatMessage]
    tools: Schemas = ()
    tool_choice: str = "auto"
    is_parallel: bool = True
    grammar: "Grammar | None" = None
    overflow: OverflowPolicy = "refuse"
    question: int | None = None

    @property
    def offered(self) -> Schemas:
        """The tools that the model may call."""
        return () if self.tool_choice == "none" else self.tools


@dataclass(frozen=True)
class Plan:
    """What an engine is asked.

    Attributes:
        request: with the prompt, or the conversation.
        reading: how the answer is read.
        make_constraint: makes the constraint of an answer; each serves one.
        dropped: messages that the model is not told, since they did not fit.
    """

    request: GenerationRequest
    reading: Reading
    make_constraint: Callable[[], Constraint] | None = None
    dropped: tuple[ChatMessage, ...] = field(default=())


def plan_answer(wish: Wish, engine: Engine, sampling: Sampling, **more: Any) -> Plan:
    """How a loaded engine answers. Renders, tokenizes and compiles: takes time.

    `more` are other fields of the request.

    Raises:
        InvalidRequestError: it cannot.
    """
    check_messages(wish.messages)
    check_tools(wish.tools)
    call = grammar_of_calls(wish.tools, wish.tool_choice)
    if wish.offered and wish.grammar is not None:
        raise InvalidRequestError(
            "an answer calls tools or has a response_format, not both; set tool_choice to 'none' "
            "or leave one of them out"
        )
    check_form(sampling.stop, call or wish.grammar)
    if engine.capabilities.takes_conversations:
        return _told(wish, call, engine, sampling.request, **more)
    return _rendered(wish, call, engine, sampling, **more)


def plan_text(
    prompt: str | Sequence[int],
    grammar: "Grammar | None",
    engine: Engine,
    sampling: Sampling,
    **more: Any,
) -> Plan:
    """How a loaded engine continues a text or token ids, without template, tools or parsing.

    `more` are other fields of the request.

    Raises:
        InvalidRequestError: it cannot.
    """
    check_form(sampling.stop, grammar)
    more |= {"prompt": prompt} if isinstance(prompt, str) else {"prompt_ids": prompt}
    if grammar is None or engine.capabilities.takes_conversations:
        request = sampling.request(**more, **_form(grammar))
        return Plan(request, Reading(verbatim, grammar, server=engine.capabilities.model))
    tokens = constrainable(engine)
    ids = tokens.encode(prompt) if isinstance(prompt, str) else prompt
    limit = budget(engine, len(ids), sampling.max_new_tokens)
    request = sampling.but(max_new_tokens=limit).request(**more)
    return Plan(request, Reading(verbatim, grammar), constraints(grammar, tokens, limit))


def _told(
    wish: Wish,
    call: "Grammar | None",
    engine: Engine,
    request: Callable[..., GenerationRequest],
    **more: Any,
) -> Plan:
    """For a server, which alone knows how many tokens there are, and refuses too many."""
    model = engine.capabilities.model
    if wish.overflow != "refuse":
        raise InvalidRequestError(
            f"the backend {engine.capabilities.backend!r} cannot count tokens, so it cannot drop "
            "the oldest messages; use overflow 'refuse'"
        )
    conversation = Conversation(
        messages=[message.to_openai() for message in wish.messages],
        tools=wish.tools,
        tool_choice=wish.tool_choice,
        is_parallel=wish.is_parallel,
    )
    reading = Reading(partial(parser_of, wish.offered), wish.grammar, call, server=model)
    return Plan(request(conversation=conversation, **_form(wish.grammar), **more), reading)


def _form(grammar: "Grammar | None") -> dict[str, Any]:
    """How a server is told of a grammar.

    Raises:
        InvalidRequestError: there is no way to.
    """
    if grammar is None:
        return {}
    if grammar.response_format is None:
        raise InvalidRequestError(
            f"a {grammar.name} cannot be told to a server; give a type, a JSON schema, a regex, a "
            "choice or a Lark grammar, or take a backend with a model in this process"
        )
    return {"response_format": grammar.response_format}


def _rendered(
    wish: Wish, call: "Grammar | None", engine: Engine, sampling: Sampling, **more: Any
) -> Plan:
    """For a model in this process."""
    grammar = call or wish.grammar
    tokens = constrainable(engine) if grammar else loaded_tokenizer(engine)
    # Templates that can, leave reasoning out where the answer has no place for it.
    options = {"enable_thinking": False} if grammar else {}
    fitted, prompt, prompt_tokens = _fitted(wish, engine, sampling, tokens, options)
    # A stop string of the plain template must not end a value or a call in its middle.
    stop = () if grammar else prompt.stop
    reading = _reading(wish, prompt, tokens, call)
    shown: tuple[str, ...] = ()
    is_free = grammar is None and reading.reread is None
    if is_free and wish.offered and tokens is not None and tokens.tells_spelling:
        free = free_calls_of(wish.offered, tokens.tokenizer, prompt, is_parallel=wish.is_parallel)
        grammar, shown = free.grammar, free.shown
        reading = replace(reading, parser=free.parser, opening=free.opening)
        more = {**more, "shown": shown} if shown else more
    if grammar is None or tokens is None:
        given = {"prompt_ids": prompt.ids} if prompt.ids else {"prompt": prompt.text}
        return Plan(sampling.request(**given, stop=stop, **more), reading, dropped=fitted.dropped)
    limit = budget(engine, prompt_tokens, sampling.max_new_tokens)
    ids = prompt.ids or tokens.encode(prompt.text)
    request = sampling.but(max_new_tokens=limit).request(prompt_ids=ids, stop=stop, **more)
    return Plan(request, reading, constraints(grammar, tokens, limit, shown), fitted.dropped)


def _reading(
    wish: Wish, prompt: ChatPrompt, tokens: LoadedTokenizer | None, call: "Grammar | None"
) -> Reading:
    if wish.grammar is not None:
        return Reading(verbatim, wish.grammar)
    if call is not None:
        options: dict[str, Any] = {"formats": (FORMATS["json"],), "tags": (), "has_code": False}
        return Reading(partial(parser_of, wish.offered, **options), call=call)
    tokenizer = None if tokens is None else tokens.tokenizer
    has_template = getattr(tokenizer, "response_template", None) is not None
    reread = rereader(tokenizer, prompt, wish.offered) if has_template else None
    return Reading(partial(parser_for, prompt, wish.offered), reread=reread)


def _fitted(
    wish: Wish,
    engine: Engine,
    sampling: Sampling,
    tokens: LoadedTokenizer | None,
    options: dict[str, Any],
) -> tuple[Fitted, ChatPrompt, int]:
    """What fits, its prompt, and how many tokens that has."""
    window = engine.capabilities.context_window
    new_tokens = sampling.max_new_tokens
    if new_tokens is None:
        is_dropping = wish.overflow == "drop_oldest"
        new_tokens = min(DEFAULT_MAX_NEW_TOKENS, window // 4) if is_dropping else 1
    counted: list[tuple[ChatPrompt, int]] = []

    def count(kept: Sequence[ChatMessage]) -> int:
        tokenizer = None if tokens is None else tokens.tokenizer
        prompt = render_chat(kept, tokenizer, wish.offered, **options)
        counted.append((prompt, _count_tokens(tokens, prompt)))
        return counted[-1][1]

    fitted = fit_window(
        wish.messages,
        count,
        context_window=window,
        new_tokens=new_tokens,
        policy=wish.overflow,
        question=wish.question,
    )
    if fitted.dropped:
        count(fitted.messages)
    return fitted, *counted[-1]


def constrainable(engine: Engine) -> LoadedTokenizer:
    """The tokenizer of an engine whose answers can be kept to a form.

    Raises:
        CannotConstrainError: they cannot.
    """
    tokens = loaded_tokenizer(engine)
    if tokens is None or not tokens.tells_spelling:
        raise CannotConstrainError(engine.capabilities.model, engine.capabilities.backend)
    return tokens


def _count_tokens(tokens: LoadedTokenizer | None, prompt: ChatPrompt) -> int:
    if prompt.ids is not None:
        return len(prompt.ids)
    return 0 if tokens is None else len(tokens.encode(prompt.text))
