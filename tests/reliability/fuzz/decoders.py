"""Every decoder, held to this: a value or an error of its own, in bounded time and memory."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel, Field

from messaging.backends.redis.entries import unpack_deliveries, unpack_delivery, unpack_entry
from messaging.backends.redis.observer.notification import read_notification
from messaging.errors import InvalidMessageError, WireError
from messaging.wire.codec import decode_header, encode_header
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message, MessageRegistry, encode
from tests.messaging.wire.test_envelope import ENVELOPES

SLOWEST_S = 2.0
MOST_BYTES_PER_BYTE = 400  # a list of empty lists takes 28 times its JSON, and errors take more
BASE_BYTES = 1 << 20
LIMIT_BYTES = 1_000

Decode = Callable[[bytes], object]


class Leaf(Message, wire_name="fuzz.leaf"):
    name: str = ""
    share: float | None = None
    count: int = 0


class Tree(Message, wire_name="fuzz.tree"):
    data: dict[str, Any] = Field(default_factory=dict)
    leaves: tuple[Leaf, ...] = ()
    either: int | str | list[float] | None = None


class Plain(BaseModel):
    value: float = 0.0
    kids: "list[Plain]" = []


_DECODER = Decoder(MessageRegistry(Leaf, Tree, Plain))


def _header(raw: bytes) -> object:
    return decode_header(raw, "t", b"{}")


def _entry(raw: bytes) -> object:
    """Cut into the fields of an entry at its first bytes of 0xff."""
    return unpack_entry(raw.split(b"\xff"), "t")


def _delivery(raw: bytes) -> object:
    """Never an error: what cannot be handled says so in its fault."""
    fields = raw.split(b"\xff")
    delivery = unpack_delivery(b"1-0", fields, "t", limit_bytes=LIMIT_BYTES)
    together, _ = unpack_deliveries([(b"1-0", fields)], "t", limit_bytes=LIMIT_BYTES)
    assert together == [delivery]
    assert delivery.fault or len(delivery.envelope.payload) <= LIMIT_BYTES
    return delivery


def _payload(type_: str) -> Decode:
    def read(raw: bytes) -> object:
        return _DECODER.read(Envelope(id=new_id(), type=type_, version=1, topic="t", payload=raw))

    return read


DECODERS: dict[str, tuple[Decode, tuple[type[Exception], ...]]] = {
    "header": (_header, (WireError,)),
    "entry": (_entry, (WireError,)),
    "delivery": (_delivery, ()),
    "news": (read_notification, ()),
    "leaf": (_payload("fuzz.leaf"), (InvalidMessageError,)),
    "tree": (_payload("fuzz.tree"), (InvalidMessageError,)),
    "plain model": (_payload(f"{Plain.__module__}.Plain"), (InvalidMessageError,)),
    "unknown type": (_payload("fuzz.unknown"), (InvalidMessageError,)),
}


def hold_to_it(decoder: str, raw: bytes) -> object:
    """What comes of `raw`, or the error that its decoder may raise.

    Raises:
        AssertionError: it took too long, or too much memory. Other errors are the decoder's own.
    """
    most = BASE_BYTES + MOST_BYTES_PER_BYTE * len(raw)
    came, took_s, peak = _measured(decoder, raw)
    if peak > most:  # once more: other threads of the process, and first uses, count as well
        came, took_s, peak = _measured(decoder, raw)
    assert took_s <= SLOWEST_S, f"{took_s:.1f} s for {len(raw)} bytes"
    assert peak <= most, f"{peak:,} bytes for {len(raw)} bytes"
    return came


def _measured(decoder: str, raw: bytes) -> tuple[object, float, int]:
    """What came of it, the seconds of computing, and the most bytes that were in use."""
    decode, allowed = DECODERS[decoder]
    tracemalloc.start()
    began_at = time.process_time()
    try:
        came = decode(raw)
    except allowed as error:
        came = error
    took_s, peak = time.process_time() - began_at, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return came, took_s, peak


# -- what comes in -------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_TREES = st.builds(
    Tree,
    data=st.dictionaries(st.text(), st.integers(-(2**63), 2**63 - 1) | st.text()),
    leaves=st.lists(st.builds(Leaf, name=st.text(), count=st.integers(-100, 100))).map(tuple),
)
_CLAIMS = st.integers(0, 10**6).map(b"%d".__mod__) | st.integers(1, 6_000).map(lambda n: b"9" * n)
_ENTRIES = st.builds(
    lambda envelope, body: b"\xff".join((b"h", encode_header(envelope), *body)),
    ENVELOPES,
    st.tuples(st.just(b"p"), st.binary()) | st.tuples(st.just(b"c"), _CLAIMS),
)
_SOUND = {
    "header": ENVELOPES.map(encode_header),
    "entry": _ENTRIES,
    "news": st.binary(max_size=40).map(lambda b: b"1-0\n2-0 %d 0\n%s" % (len(b), b)),
    "leaf": st.builds(Leaf, name=st.text()).map(encode),
    "tree": _TREES.map(encode),
    "plain model": st.builds(Plain, value=st.floats(allow_nan=False, allow_infinity=False)).map(
        encode
    ),
    "unknown type": _TREES.map(encode),
}
_SPLINTERS = st.sampled_from(
    [
        *(b"\0", b"\xff", b"\xff\xfe", b'"', b"\\u0000", b"\\ud800", b"NaN", b"1e999", b"-0"),
        *(b"9" * 400, b"9" * 5_000, b"[" * 70, b'{"a":' * 70, b"[" * 20_000, b"c\xff12", b"p"),
        *(b"c\xff" + b"9" * 5_000, b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"[],", b"\n", b" -1 "),
    ]
)


@st.composite
def inputs(draw: st.DrawFn, decoder: str) -> bytes:
    """Arbitrary bytes, JSON of any shape, and what was sound before a few things happened to it."""
    kind = draw(st.sampled_from(("bytes", "json", "mutated", "mutated")))
    if kind == "bytes":
        return draw(st.binary(max_size=300))
    if kind == "json":
        return str(draw(_JSON)).replace("'", '"').encode(errors="surrogatepass")
    raw = bytearray(draw(_SOUND.get(decoder, _SOUND["entry"])))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        until = min(len(raw), at + draw(st.integers(0, 3)))
        raw[at:until] = draw(_SPLINTERS | st.binary(max_size=4))
    return bytes(raw)
