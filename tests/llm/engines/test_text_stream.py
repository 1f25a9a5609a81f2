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


def test_a_stop_string_is_found_in_special_tokens_which_are_never_shown() -> None:
    special = {256: "<|im_end|>", 257: "<|note|>"}
    stream = TextStream(decode, [], ["<|im_end|>"], special)

    assert [stream.push(token) for token in (*b"ab", 257, ord("c"), 256)] == ["a", "b", "", "c", ""]
    assert stream.is_stopped
    assert stream.finish() == ""


def test_a_stop_string_may_begin_in_text_and_end_in_a_special_token() -> None:
    stream = TextStream(decode, [], ["\n<|end|>"], {256: "<|end|>"})
    pieces = [stream.push(token) for token in (*b"a\n", 256)]

    assert "".join(pieces) == "a"
    assert stream.is_stopped


def test_special_tokens_do_not_break_up_characters() -> None:
    first, *rest = "é".encode()
    stream = TextStream(decode, [], [], {256: "<|x|>"})

    assert "".join(stream.push(token) for token in (first, 256, *rest)) == "é"


def test_replacement_characters_are_shown_before_the_end() -> None:
    stream = TextStream(decode, [])
    pieces = [stream.push(0x80) for _ in range(40)]

    assert len("".join(pieces)) >= 37
    assert "".join(pieces) + stream.finish() == "\ufffd" * 40


def test_an_endless_run_of_them_keeps_no_endless_window() -> None:
    seen = []

    def counted(token_ids: Sequence[int]) -> str:
        seen.append(len(token_ids))
        return decode(token_ids)

    stream = TextStream(counted, [])
    text = "".join(stream.push(0x80) for _ in range(1000)) + stream.finish()

    assert text == "\ufffd" * 1000
    assert max(seen) < 200


def test_a_special_token_that_is_text_is_shown_where_it_stands() -> None:
    special = {256: "<|x|>", 257: "<|y|>"}
    stream = TextStream(decode, [], ["!"], special, ["<|x|>"])

    pieces = [stream.push(i) for i in [*b"a", 256, *b"b", 257, *"ä".encode(), 256]]

    assert "".join([*pieces, stream.finish()]) == "a<|x|>bä<|x|>"
