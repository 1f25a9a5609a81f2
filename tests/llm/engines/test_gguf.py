"""Whether a GGUF file is whole, by its own account."""

from pathlib import Path

import pytest

from agents.llm.engines import EngineConfig, create_engine
from agents.llm.engines.errors import ModelDamagedError, ModelNotFoundError
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


@pytest.mark.parametrize("backend", ["llamacpp", "transformers"])
async def test_a_file_that_lacks_weights_is_told_as_that_when_it_is_loaded(
    tmp_path: Path, backend: str
) -> None:
    path = save_tiny_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:-4000])

    engine = create_engine(EngineConfig(model=str(path), backend=backend, device="cpu"))
    with pytest.raises(ModelDamagedError, match="breaks off: it promises"):
        await engine.load()
    await engine.close()


async def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = save_tiny_gguf(tmp_path / "tiny-00001-of-00002.gguf", split__count=2)

    engine = create_engine(EngineConfig(model=str(path), backend="llamacpp", device="cpu"))
    with pytest.raises(ModelNotFoundError, match=r"there is no file .*-00002-of-00002\.gguf"):
        await engine.load()
    await engine.close()


@pytest.mark.parametrize("alignment", [0, "x"])
def test_an_alignment_that_is_none_is_damage(tmp_path: Path, alignment: object) -> None:
    path = save_tiny_gguf(tmp_path / "tiny.gguf", general__alignment=alignment)

    with pytest.raises(ModelDamagedError, match="cannot be aligned"):
        check_whole(path)
