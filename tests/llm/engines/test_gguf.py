"""Whether a GGUF file is whole, by its own account."""

from pathlib import Path

import pytest

from agents.llm.engines.errors import ModelDamagedError
from agents.llm.engines.gguf import check_whole
from tests.llm.engines.tiny_gguf import save_tiny_gguf


def test_a_file_lacks_nothing_but_its_padding(tmp_path: Path) -> None:
    path = save_tiny_gguf(tmp_path / "tiny.gguf")
    whole = path.read_bytes()
    check_whole(path)

    for missing in (1, 1000, len(whole) // 2):
        path.write_bytes(whole[:-missing])
        with pytest.raises(ModelDamagedError, match="breaks off"):
            check_whole(path)


@pytest.mark.parametrize("alignment", [0, "x"])
def test_an_alignment_that_is_none_is_damage(tmp_path: Path, alignment: object) -> None:
    path = save_tiny_gguf(tmp_path / "tiny.gguf", general__alignment=alignment)

    with pytest.raises(ModelDamagedError, match="cannot be aligned"):
        check_whole(path)
