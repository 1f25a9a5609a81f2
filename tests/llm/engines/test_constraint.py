import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.llm.engines.token_bits import allowed_tokens, words_for
from tests.llm.engines.packing import pack_tokens


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_packed_tokens_come_out_as_they_went_in(allowed: list[bool]) -> None:
    words = pack_tokens(np.array(allowed))

    assert words.dtype == np.int32
    assert words.shape == (words_for(len(allowed)),)
    assert allowed_tokens(words, len(allowed)).tolist() == allowed


def test_token_t_is_bit_t_mod_32_of_word_t_div_32() -> None:
    words = np.zeros(2, dtype=np.int32)
    words[1] = 1 << 3

    assert np.flatnonzero(allowed_tokens(words, 40)).tolist() == [35]


def test_several_rows_are_unpacked_at_once() -> None:
    words = np.array([[1], [-(2**31)]], dtype=np.int32)

    assert [np.flatnonzero(row).tolist() for row in allowed_tokens(words, 32)] == [[0], [31]]
