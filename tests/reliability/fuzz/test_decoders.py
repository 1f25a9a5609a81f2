"""A few hundred inputs for each decoder, the same ones each time; more by the command."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.backend import Delivery
from messaging.errors import WireError
from messaging.wire.codec import encode_header
from messaging.wire.envelope import Envelope, new_id
from tests.reliability.fuzz import decoders
from tests.reliability.fuzz.__main__ import main
from tests.reliability.fuzz.decoders import DECODERS, hold_to_it, inputs

CALM = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("decoder", DECODERS)
def test_whatever_comes_in_is_a_value_or_an_error_of_its_own(decoder: str) -> None:
    came: set[bool] = set()

    @CALM
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        came.add(isinstance(hold_to_it(decoder, data.draw(inputs(decoder))), Exception))

    fuzz()

    if DECODERS[decoder][1]:
        assert came == {True, False}, "only one way was ever taken"


@pytest.mark.parametrize("size", [1, 20_000, 1_000_000])
@pytest.mark.parametrize("splinter", [b"[", b'{"a":', b"9", b'"\\u0000', b"[],", b"\xff", b"-"])
@pytest.mark.parametrize("decoder", ["tree", "unknown type", "header", "entry", "news"])
def test_a_long_row_of_anything_is_as_harmless(decoder: str, splinter: bytes, size: int) -> None:
    hold_to_it(decoder, (splinter * size)[:size])
    hold_to_it(decoder, b'{"data":{"a":' + (splinter * size)[:size] + b"}}")


@pytest.mark.parametrize("digits", [15, 16, 4_300, 5_000])
def test_a_length_of_any_number_of_digits_is_a_fault_and_no_more(digits: int) -> None:
    header = encode_header(Envelope(new_id(), "Note", 1, "t", b""))

    delivery = hold_to_it("delivery", b"\xff".join((b"h", header, b"c", b"9" * digits)))

    assert isinstance(delivery, Delivery)
    assert delivery.fault


def test_a_decoder_that_lets_another_error_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoders.DECODERS, "header", (lambda raw: raw[20], (WireError,)))

    with pytest.raises(IndexError):
        hold_to_it("header", b"x")


def test_a_decoder_that_takes_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoders.DECODERS, "header", (lambda raw: bytes(50_000_000), ()))

    with pytest.raises(AssertionError, match="bytes for"):
        hold_to_it("header", b"x")


def test_the_command_runs_as_many_as_it_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--examples", "20", "header", "unknown type"]) == 0

    assert capsys.readouterr().out == "header: 20 inputs\nunknown type: 20 inputs\n"


def test_the_command_ends_in_the_error_of_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoders.DECODERS, "header", (lambda raw: raw[20], (WireError,)))

    with pytest.raises(IndexError):
        main(["--examples", "20", "header"])
