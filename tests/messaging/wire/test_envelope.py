from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.errors import WireError
from messaging.wire.codec import decode_header, encode_header
from messaging.wire.envelope import Envelope, new_id

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
UNMARKED = st.text(st.characters(exclude_characters="\0\x01", exclude_categories=["Cs"]))
ENVELOPES = st.builds(
    Envelope,
    id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    type=TEXT,
    version=st.integers(0, 65_535),
    topic=TEXT,
    payload=st.binary(),
    sender=TEXT,
    cause=TEXT,
    conversation=TEXT,
    reply_to=TEXT,
    key=TEXT,
    tags=TEXT,
    trace=TEXT,
    origin=TEXT,
    waiter=UNMARKED,
    deadline=st.floats(allow_nan=False),
    attempt=st.integers(0, 255),
    hops=st.integers(0, 255),
    priority=st.integers(-128, 127),
    delay_s=st.just(0.0),
    message=st.none(),
)


def plain(**fields: Any) -> Envelope:
    envelope = Envelope(id=new_id(), type="Note", version=1, topic="notes", payload=b"{}")
    return envelope._replace(**fields)


@given(ENVELOPES)
def test_a_header_decodes_to_the_envelope_it_was_made_of(envelope: Envelope) -> None:
    decoded = decode_header(encode_header(envelope), envelope.topic, envelope.payload)

    assert decoded == envelope


@given(ENVELOPES, st.floats(0, 1e6))
def test_what_is_local_to_a_process_stays_out_of_the_header(
    envelope: Envelope, delay_s: float
) -> None:
    header = encode_header(envelope._replace(delay_s=delay_s))

    assert header == encode_header(envelope)


def test_optional_parts_cost_nothing_when_absent() -> None:
    assert len(encode_header(plain())) == 19 + len("Note")


@given(st.binary())
@example(b"")
@example(b"\x01")
@example(b"\x01\x00\x07" + bytes(20))
def test_garbage_is_a_wire_error_or_an_envelope(garbage: bytes) -> None:
    try:
        envelope = decode_header(garbage, "notes", b"{}")
    except WireError:
        return
    assert (envelope.topic, envelope.payload) == ("notes", b"{}")


@given(ENVELOPES, st.data())
def test_a_damaged_header_is_a_wire_error_or_an_envelope(
    envelope: Envelope, data: st.DataObject
) -> None:
    header = bytearray(encode_header(envelope))
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(header[: data.draw(st.integers(0, len(header)))])

    try:
        decode_header(damaged, "notes", b"{}")
    except WireError:
        return


@given(ENVELOPES, st.integers(0, 18))
def test_a_header_cut_short_is_a_wire_error(envelope: Envelope, length: int) -> None:
    with pytest.raises(WireError, match="notes"):
        decode_header(encode_header(envelope)[:length], "notes", b"{}")


def test_a_header_of_a_later_version_is_a_wire_error() -> None:
    header = encode_header(plain())

    with pytest.raises(WireError, match="version 2"):
        decode_header(b"\x02" + header[1:], "notes", b"{}")


def test_a_header_with_a_flag_nobody_knows_is_a_wire_error() -> None:
    header = encode_header(plain())

    with pytest.raises(WireError, match="0x8000"):
        decode_header(header[:1] + b"\x80" + header[2:], "notes", b"{}")


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "a\0b"},
        {"type": "a\0b"},
        {"sender": "\ud800"},
        {"priority": 128},
        {"hops": -1},
        {"attempt": 256},
        {"version": 65_536},
        {"id": "not hex"},
        {"id": "abcd"},
        {"id": "AB" * 16},
        {"id": "ab " * 16},
    ],
)
def test_an_envelope_that_would_not_decode_is_not_encoded(fields: dict[str, object]) -> None:
    with pytest.raises(WireError, match="cannot travel"):
        encode_header(plain(**fields))


@pytest.mark.parametrize("id_", ["", "z" * 32, "é" * 32, "A" * 32, "0" * 33, "00 " * 10 + "00"])
def test_an_id_that_is_none_is_called_that(id_: str) -> None:
    with pytest.raises(WireError, match="its id is not 32 lower-case hex digits"):
        encode_header(plain(id=id_))


def test_endless_hops_stop_counting_instead_of_failing() -> None:
    header = encode_header(plain(hops=1_000))

    assert decode_header(header, "notes", b"{}").hops == 255


def test_ids_are_version_7_unique_and_ordered_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times_ns: Iterator[int] = iter(range(1_700_000_000_000_000_000, 2**62, 1_000_000))
    monkeypatch.setattr("messaging.wire.envelope.time.time_ns", lambda: next(times_ns))

    ids = [new_id() for _ in range(100)]

    assert ids == sorted(set(ids))
    assert all(len(id_) == 32 and id_[12] == "7" and id_[16] in "89ab" for id_ in ids)


def test_the_first_message_of_a_chain_names_its_conversation() -> None:
    first = plain()
    answer = plain(conversation=first.conversation_id, cause=first.id)

    assert first.conversation_id == first.id
    assert answer.conversation_id == first.id


def test_a_retried_envelope_still_says_where_it_was_published() -> None:
    assert plain().published_to == "notes"
    assert plain(topic="_retry.readers", origin="notes").published_to == "notes"


@pytest.mark.parametrize("trace", ["", "00-abc-def-01"])
def test_a_version_that_knows_no_waiter_hands_it_on(
    trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = plain(waiter="_reply.abc 123", trace=trace)
    header = encode_header(sent)
    with monkeypatch.context() as before:
        before.setattr("messaging.wire.codec._WAITER", "no text holds this")
        read = decode_header(header, "notes", b"{}")
        followed = encode_header(plain(trace=read.trace))

    assert decode_header(followed, "notes", b"{}").waiter == sent.waiter
    assert decode_header(followed, "notes", b"{}").trace == trace


def test_a_waiter_needs_no_flag_that_the_last_version_refuses() -> None:
    bare, waited_for = encode_header(plain()), encode_header(plain(waiter="_reply.abc 123"))
    traced = encode_header(plain(trace="00-abc-def-01"))

    assert waited_for[:3] == traced[:3] != bare[:3]
