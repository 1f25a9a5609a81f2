from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from agents.llm.engines.text_stream import TextStream

TEXT = st.text(st.sampled_from("abé今🎉 \n"), max_size=30)


def decode(token_ids: Sequence[int]) -> str:
    """Bytes as tokens, decoded as tokenizers do: what is no character is U+FFFD."""
    return bytes(token_ids).decode("utf-8", errors="replace")


def pieces_of(stream: TextStream, data: bytes) -> list[str]:
    pieces = []
    for token in data:
        pieces.append(stream.push(token))
        if stream.is_stopped:
            return pieces
    return [*pieces, stream.finish()]


def cut_at_first_stop(text: str, stop: Sequence[str]) -> str:
    """The text before whichever stop string is complete first."""
    for end in range(1, len(text) + 1):
        ending = [s for s in stop if text[:end].endswith(s)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


@given(TEXT)
def test_no_piece_ever_holds_half_a_character(text: str) -> None:
    pieces = pieces_of(TextStream(decode, []), text.encode())

    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@given(st.binary(max_size=40))
def test_what_is_no_text_comes_out_as_decoded_in_one_go(data: bytes) -> None:
    assert "".join(pieces_of(TextStream(decode, []), data)) == decode(list(data))


@given(TEXT, st.lists(st.text(st.sampled_from("abé今 "), min_size=1, max_size=4), max_size=3))
def test_stop_strings_cut_exactly_and_are_never_shown_in_part(text: str, stop: list[str]) -> None:
    stream = TextStream(decode, [], stop)
    pieces = pieces_of(stream, text.encode())

    expected = cut_at_first_stop(text, stop)
    assert "".join(pieces) == expected
    assert stream.is_stopped == (expected != text)


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_decided() -> None:
    stream = TextStream(decode, [], ["END"])

    assert [stream.push(b) for b in b"xEN"] == ["x", "", ""]
    assert stream.push(ord("e")) == "ENe"
    assert [stream.push(b) for b in b"EN"] == ["", ""]
    assert stream.finish() == "EN"


def test_a_space_between_prompt_and_answer_survives_decoders_that_strip_it() -> None:
    words = ["hello", " world", "!"]
    stream = TextStream(lambda ids: "".join(words[i] for i in ids).lstrip(), [0])

    assert [stream.push(1), stream.push(2)] == [" world", "!"]
