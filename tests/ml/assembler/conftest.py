from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from agents.ml.assembler import CompiledModel, compile_model
from agents.ml.models.script import build_model

Build = Callable[..., nn.Module]


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., CompiledModel]:
    """Compile layers for an input shape, in a workspace of the test's own."""

    def compile_layers(layers: list[Any], input_shape: list[int], **more: Any) -> CompiledModel:
        config = {"model_name": "Net", "input_shape": input_shape, "layers": layers, **more}
        return compile_model(config, workspace=tmp_path)

    return compile_layers


@pytest.fixture
def built(compiled: Callable[..., CompiledModel], tmp_path: Path) -> Build:
    """Compile, write, import and build; what people do with the file."""

    def build(layers: list[Any], input_shape: list[int], **more: Any) -> nn.Module:
        (tmp_path / "model.py").write_text(compiled(layers, input_shape, **more).source)
        return build_model("model.py", "Net", workspace=tmp_path)

    return build
