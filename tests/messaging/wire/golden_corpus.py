"""What was ever stored must decode for ever: one file for each way to write something down.

    python -m tests.messaging.wire.golden_corpus

writes the files of cases that have none yet and leaves all others as they are. A file is never
changed and never deleted; when the format changes, cases are added under new names.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from messaging.handling.failure_record import Attempt, Reason
from messaging.wire.codec import encode_header
from messaging.wire.envelope import Envelope
from messaging.wire.message import Message, MessageRegistry, encode, wire_type_of
from messaging.wire.replies import Cancelled, RequestFailed

FOLDER = Path(__file__).parent / "golden"
SUMS = FOLDER / "SHA256SUMS"


class OrderV1(Message, wire_name="golden.order"):
    name: str
    amount: float


class OrderV2(Message, wire_name="golden.order", version=2):
    first_name: str
    last_name: str
    amount: float


class Order(Message, wire_name="golden.order", version=3):
    """The only version that readers know today."""

    names: tuple[str, ...]
    cents: int


@Order.upcast(from_version=1)
def _split_the_name(data: dict[str, Any]) -> dict[str, Any]:
    first, _, last = data.pop("name").partition(" ")
    return {**data, "first_name": first, "last_name": last}


@Order.upcast(from_version=2)
def _count_in_cents(data: dict[str, Any]) -> dict[str, Any]:
    names = [data["first_name"], data["last_name"]]
    return {"names": names, "cents": round(100 * data["amount"])}


REGISTRY = MessageRegistry(Order, RequestFailed, Cancelled)

_ID = "01a1f99751357d2796a38b6ede97f4d7"
_OTHER_ID = "01a1f9975b297c9092e5be3d38c427ee"
_WAITER = f"_reply.{_OTHER_ID} {_ID}"
_FIRST = OrderV1(name="Ada Lovelace", amount=12.5)
_SECOND = OrderV2(first_name="Ада", last_name="Лавлейс", amount=0.07)
_THIRD = Order(names=("Ada", "Byron", "\0\u2028😀"), cents=-(2**63))
FIELDS_SINCE = ("waiter",)
_ALL_FIELDS: Mapping[str, Any] = {
    "sender": "shop",
    "cause": _OTHER_ID,
    "conversation": _OTHER_ID,
    "reply_to": "inbox.shop",
    "key": "customer-7",
    "tags": "cook,waiter",
    "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "origin": "orders.new",
    "deadline": 1_795_189_036.25,
    "attempt": 255,
    "hops": 64,
    "priority": -128,
}


def envelope(message: Message, **fields: Any) -> Envelope:
    name, version = wire_type_of(type(message))
    return Envelope(_ID, name, version, "orders", encode(message), **fields)


def envelopes() -> dict[str, Envelope]:
    """Each optional field alone, all of them, none; each version; the bus's own messages."""
    cases = {f"v1-{name}": envelope(_FIRST, **{name: _ALL_FIELDS[name]}) for name in _ALL_FIELDS}
    return cases | {
        "v1-bare": envelope(_FIRST),
        "v1-all": envelope(_FIRST, **_ALL_FIELDS),
        "v1-odd-ids": envelope(_FIRST, cause="not an id", conversation="ABC\u00e9"),
        "v1-priority-highest": envelope(_FIRST, priority=127),
        "v1-hops-most": envelope(_FIRST, hops=255),
        "v1-no-attempt": envelope(_FIRST, attempt=0),
        "v1-unicode": envelope(_FIRST, sender="коф\u00e9", tags="😀", key='\u2028\n\t"'),
        "v1-waiter": envelope(_FIRST, waiter=_WAITER),
        "v1-trace-waiter": envelope(_FIRST, waiter=_WAITER, trace=_ALL_FIELDS["trace"]),
        "v2": envelope(_SECOND),
        "v2-all": envelope(_SECOND, **_ALL_FIELDS),
        "v3": envelope(_THIRD),
        "v3-all": envelope(_THIRD, **_ALL_FIELDS),
        "v3-all-waiter": envelope(_THIRD, **_ALL_FIELDS, waiter=_WAITER),
        "request-failed": envelope(
            RequestFailed(message_id=_ID, error_type="E", text="t", agent="a", attempts=3)
        ),
        "cancelled": envelope(Cancelled(message_id=_ID, reason="enough")),
    }


def reasons() -> dict[str, Reason]:
    attempt = Attempt(number=1, error_type="KeyError", text="'x'", at=1_795_189_036.25)
    return {
        "reason": Reason(
            error_type="KeyError",
            text="'x'",
            traceback="Traceback (most recent call last): ...",
            agent="cook",
            attempts=(attempt,),
        )
    }


def documents() -> dict[str, dict[str, Any]]:
    """What the file of each case holds."""
    found = {name: _envelope_document(each) for name, each in envelopes().items()}
    return found | {name: {"reason": encode(each).decode()} for name, each in reasons().items()}


def file_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def add_missing() -> list[str]:
    """Write the files of cases that have none, and their sums."""
    missing = {n: each for n, each in documents().items() if not file_of(n).exists()}
    lines = SUMS.read_text().splitlines() if SUMS.exists() else []
    for name, document in missing.items():
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        file_of(name).write_text(text, "utf-8")
        lines.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}.json")
    SUMS.write_text("".join(f"{line}\n" for line in sorted(lines, key=lambda line: line[66:])))
    return sorted(missing)


def _envelope_document(each: Envelope) -> dict[str, Any]:
    fields = {name: value for name, value in each._asdict().items() if name != "message"}
    for since in FIELDS_SINCE:  # files of before do not know them
        if not fields[since]:
            del fields[since]
    return {
        "header": encode_header(each).hex(),
        "payload": each.payload.decode(),
        "decodes_to": fields | {"payload": None},
        "message": REGISTRY.decode(each.type, each.version, each.payload).model_dump(mode="json"),
    }


if __name__ == "__main__":
    for written in add_missing():
        print(f"added {written}")  # noqa: T201 - a command
