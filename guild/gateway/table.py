"""The table of routes below `/api/v1`: from it come both the routing and the document."""

from collections.abc import Sequence
from typing import Any

from guild.errors import (
    LetterNotFoundError,
    NobodyAnswersError,
    NoSuchMessageError,
    UnknownAgentError,
)
from guild.gateway.callers import Scope
from guild.gateway.endpoint import Endpoint
from guild.gateway.live import LiveDelta
from guild.gateway.problems import Problem
from guild.gateway.routes import (
    about,
    agents,
    conversations,
    letters,
    messages,
    requests,
    watching,
)
from guild.operations.agents import AgentInfo
from guild.operations.conversation import Conversation
from guild.operations.graph import GraphReport
from guild.operations.letters import LetterDetail, LetterGroup, LetterInfo
from guild.operations.passing import EventSeen
from guild.operations.schemas import MessageInfo
from guild.operations.talking import Answered, Sent
from guild.operations.topics import TopicReport
from messaging.errors import (
    BackendUnavailableError,
    BusFullError,
    InvalidMessageError,
    NobodyListensError,
    NotAskedError,
    PayloadTooLargeError,
    PositionLostError,
    RequestCancelledError,
    RequestFailedError,
    RequestTimeoutError,
    TopicError,
)

READ, PUBLISH, OPERATE, APPROVE = Scope

_SENDING = (
    BusFullError,
    BackendUnavailableError,
    InvalidMessageError,
    NoSuchMessageError,
    PayloadTooLargeError,
    TopicError,
)
_ANSWERED = (RequestFailedError, RequestCancelledError, RequestTimeoutError)
_REQUEST_EVENTS = {
    "accepted": requests.Accepted,
    "emitted": requests.Emitted,
    "answer": requests.Emitted,
    "problem": Problem,
}

TABLE: Sequence[Endpoint[Any, Any]] = (
    Endpoint(
        "GET",
        "/guild",
        READ,
        about.show_guild,
        "The guild, and what the caller may do",
        answer=about.GatewayOverview,
    ),
    Endpoint(
        "GET",
        "/agents",
        READ,
        agents.list_agents,
        "All agents, who runs, and what waits for them",
        answer=Sequence[AgentInfo],
    ),
    Endpoint(
        "GET",
        "/agents/{id}",
        READ,
        agents.show_agent,
        "One agent",
        answer=AgentInfo,
        problems=(UnknownAgentError,),
    ),
    Endpoint(
        "POST",
        "/agents/{id}/pause",
        OPERATE,
        agents.pause_agent,
        "Pause an agent in all processes; what is published for it waits",
        answer=agents.Done,
        problems=(UnknownAgentError,),
    ),
    Endpoint(
        "POST",
        "/agents/{id}/resume",
        OPERATE,
        agents.resume_agent,
        "Let a paused agent go on",
        answer=agents.Done,
        problems=(UnknownAgentError,),
    ),
    Endpoint(
        "POST",
        "/agents/{id}/drain",
        OPERATE,
        agents.drain_agent,
        "Pause an agent and wait until nothing of it runs any more",
        body=agents.Draining,
        answer=agents.Drained,
        problems=(UnknownAgentError,),
    ),
    Endpoint(
        "GET",
        "/topics",
        READ,
        about.list_topics,
        "All topics, what they hold, and for whom",
        answer=Sequence[TopicReport],
    ),
    Endpoint("GET", "/graph", READ, about.show_graph, "Who sends what to whom", answer=GraphReport),
    Endpoint(
        "GET",
        "/schemas",
        READ,
        about.list_schemas,
        "All messages that may travel; those that agents handle come first",
        answer=Sequence[MessageInfo],
    ),
    Endpoint(
        "GET",
        "/schemas/{type}",
        READ,
        about.show_schema,
        "One message, by its wire name or class name",
        answer=MessageInfo,
    ),
    Endpoint(
        "POST",
        "/topics/{topic}/messages",
        PUBLISH,
        messages.publish_message,
        "Publish a message",
        body=messages.Publishing,
        answer=Sent,
        status=202,
        headers=messages.IDEMPOTENCY,
        problems=_SENDING,
    ),
    Endpoint(
        "POST",
        "/topics/{topic}/requests",
        PUBLISH,
        requests.ask,
        "Ask, and get the answer, or follow what comes",
        body=requests.Asking,
        answer=Answered,
        later=requests.Accepted,
        events=_REQUEST_EVENTS,
        headers={**messages.IDEMPOTENCY, **requests.PREFER},
        problems=(*_SENDING, *_ANSWERED, NobodyListensError, NobodyAnswersError, NotAskedError),
    ),
    Endpoint(
        "GET",
        "/requests/{message_id}",
        PUBLISH,
        requests.follow,
        "The answer to a request that any process began, or what comes of it",
        query=requests.Following,
        answer=Answered,
        later=requests.Accepted,
        events=_REQUEST_EVENTS,
        headers={**requests.LAST_EVENT, **requests.PREFER},
        problems=(*_ANSWERED, PositionLostError, BackendUnavailableError),
    ),
    Endpoint(
        "POST",
        "/requests/{message_id}/cancel",
        PUBLISH,
        requests.cancel,
        "Stop the work on a request, and on what followed from it",
        body=requests.Cancelling,
        answer=requests.Cancelled,
        status=202,
    ),
    Endpoint(
        "GET",
        "/dead-letters",
        READ,
        letters.list_letters,
        "Messages that their agent gave up, the oldest first",
        query=letters.Page,
        answer=Sequence[LetterInfo],
    ),
    Endpoint(
        "GET",
        "/dead-letters/groups",
        READ,
        letters.group_letters,
        "How many there are of each kind, the most frequent first",
        query=letters.Grouping,
        answer=Sequence[LetterGroup],
    ),
    Endpoint(
        "GET",
        "/dead-letters/{id}",
        READ,
        letters.show_letter,
        "One dead letter, by its id or that of its message, with every attempt",
        answer=LetterDetail,
        problems=(LetterNotFoundError,),
    ),
    Endpoint(
        "POST",
        "/dead-letters/requeue",
        OPERATE,
        letters.requeue_letters,
        "Hand all that fit to their agents again, or say which",
        body=letters.RequeueingAll,
        answer=letters.Requeued,
        problems=(NobodyListensError,),
    ),
    Endpoint(
        "POST",
        "/dead-letters/{id}/requeue",
        OPERATE,
        letters.requeue_letter,
        "Hand one to its agent again, changed or as it was",
        body=letters.Requeueing,
        answer=LetterInfo,
        problems=(LetterNotFoundError, InvalidMessageError, NobodyListensError),
    ),
    Endpoint(
        "POST",
        "/dead-letters/{id}/drop",
        OPERATE,
        letters.drop_letter,
        "Forget one for good",
        body=letters.Dropping,
        answer=LetterInfo,
        problems=(LetterNotFoundError,),
    ),
    Endpoint(
        "GET",
        "/conversations/{id}",
        READ,
        conversations.show_conversation,
        "What is still known of a conversation, by its id or that of any of its messages",
        answer=Conversation,
    ),
    Endpoint(
        "GET",
        "/messages",
        READ,
        watching.watch_messages,
        "Messages as they pass, or those that the topics hold",
        query=watching.Wanted,
        answer=watching.Rows,
        events={"rows": watching.Rows, "problem": Problem},
        problems=(TopicError,),
    ),
    Endpoint(
        "GET",
        "/live",
        READ,
        watching.watch_live,
        "What the agents do: a snapshot, then what changes, a few times a second",
        events={"snapshot": LiveDelta, "delta": LiveDelta, "problem": Problem},
    ),
    Endpoint(
        "GET",
        "/events",
        READ,
        watching.watch_events,
        "What happens to the guild, as it happens, or what is still kept of it",
        query=watching.WantedEvents,
        answer=watching.Events,
        events={"event": EventSeen, "problem": Problem},
    ),
)
