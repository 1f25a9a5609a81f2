"""What does not fit is refused before it is loaded, and what runs out of memory says so."""

from pathlib import Path
from typing import Any

import pytest
import torch

from agents.llm.engines import EngineConfig, LLMInitializationError, create_engine, memory
from agents.llm.engines.memory import free_bytes, is_out_of_memory

GIGABYTE = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a system says of its memory: one gigabyte is free."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {GIGABYTE // 1024} kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    return tmp_path


def limit(machine: Path, most: str, used: int, files: int) -> None:
    (machine / "memory.max").write_text(f"{most}\n")
    (machine / "memory.current").write_text(f"{used}\n")
    (machine / "memory.stat").write_text(f"anon 5\nfile {files}\nkernel 7\n")


def test_free_memory_is_the_machine_s(machine: Path) -> None:
    assert free_bytes() == GIGABYTE


def test_free_memory_is_the_container_s_where_that_is_less(machine: Path) -> None:
    limit(machine, "500", used=300, files=100)  # files that were read can be forgotten

    assert free_bytes() == 300


def test_a_container_without_a_limit_has_what_the_machine_has(machine: Path) -> None:
    limit(machine, "max", used=300, files=100)

    assert free_bytes() == GIGABYTE


def test_free_memory_is_unknown_where_it_is_not_told(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", machine / "nowhere")

    assert free_bytes() is None


def test_each_kind_of_being_out_of_memory_is_known() -> None:
    with pytest.raises(RuntimeError) as on_cpu:
        torch.empty(1 << 60, dtype=torch.uint8)

    assert is_out_of_memory(on_cpu.value)
    assert is_out_of_memory(torch.OutOfMemoryError("no"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("kernel fault"))


@pytest.mark.parametrize("backend", ["transformers", "llamacpp"])
async def test_a_model_that_does_not_fit_is_refused_with_what_it_needs(
    machine: Path, tiny_phi: Path, tiny_gguf: Path, backend: str
) -> None:
    limit(machine, "20000", used=10_000, files=0)
    model = tiny_phi if backend == "transformers" else tiny_gguf
    engine = create_engine(EngineConfig(model=str(model), backend=backend, device="cpu"))

    with pytest.raises(LLMInitializationError, match=r"GB of memory, and 0\.0 GB are free"):
        await engine.load()
    limit(machine, "max", used=0, files=0)
    await engine.load()
    await engine.close()


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}])
async def test_a_model_that_is_spread_over_devices_is_not_refused(
    machine: Path, tiny_phi: Path, device_map: Any
) -> None:
    limit(machine, "20000", used=10_000, files=0)
    options = {"device_map": device_map, "max_cache_bytes": GIGABYTE}
    engine = create_engine(EngineConfig(model=str(tiny_phi), device="cpu", options=options))

    await engine.load()
    await engine.close()
