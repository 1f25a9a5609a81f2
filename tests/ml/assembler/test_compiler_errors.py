from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.ml.assembler import (
    CompiledModel,
    InexpressibleError,
    MisfitError,
    UnknownLayerError,
    compile_model,
)
from agents.ml.errors import ConfigError, LayerError, MLError, ModelScriptError

Compiled = Callable[..., CompiledModel]
LINEAR = {"type": "Linear", "params": {"out_features": 4}}


def test_a_misfit_names_index_type_parameters_and_incoming_shape(compiled: Compiled) -> None:
    layers = [LINEAR, {"type": "Conv2d", "params": {"in_channels": 3, "out_channels": 8}}]
    layers[1]["params"]["kernel_size"] = 3

    with pytest.raises(MisfitError) as caught:
        compiled(layers, [16, 16])

    assert str(caught.value) == (
        "layers[1]: Conv2d(in_channels=3, out_channels=8, kernel_size=3) on shape (B, 16, 4): "
        "in_channels=3, but the incoming shape has 16"
    )
    assert caught.value.where == "layers[1]"
    assert caught.value.incoming_shape == (2, 16, 4)


@pytest.mark.parametrize(
    ("layers", "shape", "text"),
    [
        (
            [{"type": "Liner"}],
            [4],
            r"layers\[0\]: unknown layer type 'Liner': did you mean 'Linear",
        ),
        ([{"type": "relu"}], [4], "did you mean 'ReLU'"),
        ([{"type": "residual"}], [4], "did you mean 'Residual'"),
        ([{"type": "LazyLinear"}], [4], "use Linear"),
        ([{"type": "Bilinear"}], [4], "does not map one tensor"),
        ([{"type": "CrossEntropyLoss"}], [4], "does not map one tensor"),
        ([{"type": "Xyzzyx"}], [4], "module_path"),
    ],
)
def test_an_unknown_type_suggests_what_was_meant(
    compiled: Compiled, layers: list[Any], shape: list[int], text: str
) -> None:
    with pytest.raises(UnknownLayerError, match=text):
        compiled(layers, shape)


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        ({"type": "Linear", "params": {"out_feature": 4}}, [4], "'out_feature'; did you mean"),
        ({"type": "Linear", "params": {"out_features": 4, "device": "cuda"}}, [4], "'device'"),
        ({"type": "Linear"}, [4], "missing parameter out_features"),
        ({"type": "Linear", "params": {"out_features": "4"}}, [4], "TypeError"),
        ({"type": "Linear", "params": {"out_features": -4}}, [4], r"on shape \(B, 4\)"),
        ({"type": "Linear", "params": {"out_features": 10**30}}, [4], r"on shape \(B, 4\)"),
        ({"type": "LSTM", "params": {"hidden_size": 4, "nonlinearity": "relu"}}, [3, 4], "unknown"),
        ({"type": "LSTM", "params": {"hidden_size": 4, "batch_first": False}}, [3, 4], "batch_f"),
        ({"type": "Embedding", "params": {"embedding_dim": 4}}, [4], "missing parameter num_emb"),
        ({"type": "MultiheadAttention", "params": {"num_heads": 3}}, [5, 8], "divisible"),
        ({"type": "MaxPool2d", "params": {"kernel_size": 9}}, [1, 4, 4], "too small"),
        ({"type": "BatchNorm2d"}, [4], "expected 4D"),
        ({"type": "Reshape", "params": {"shape": [3]}}, [4], "invalid for input"),
        ({"type": "Mean", "params": {"axis": 1}}, [4], "axis"),
        ({"type": "PositionalEmbedding"}, [4], "time, width"),
        ({**LINEAR, "output": "last"}, [4], "no time steps"),
        ({**LINEAR, "output": 1, "type": "Identity", "params": {}}, [4], "no output 1"),
        (
            {"type": "MaxPool1d", "params": {"kernel_size": 2, "return_indices": True}},
            [1, 4],
            'returns 2 values; say which goes on with "output": 0',
        ),
        (
            {
                "type": "TransformerEncoder",
                "params": {"num_layers": 1, "encoder_layer": {"type": "X"}},
            },
            [4, 8],
            r"layers\[0\]\.params\.encoder_layer: unknown layer type 'X'",
        ),
    ],
)
def test_a_wrong_parameter_is_named(
    compiled: Compiled, layer: dict[str, Any], shape: list[int], text: str
) -> None:
    with pytest.raises(LayerError, match=text) as caught:
        compiled([layer], shape)

    assert caught.value.where.startswith("layers[0]")


@pytest.mark.parametrize(
    ("type_", "params", "text"),
    [
        ("Linear", {"out_features": 4, "bias": "false"}, "bias must be true or false, not 'false'"),
        ("Linear", {"out_features": True}, "out_features must be a number, not True"),
        ("BatchNorm1d", {"affine": "no"}, "affine must be true or false, not 'no'"),
        ("Dropout", {"p": True}, "p must be a number, not True"),
        ("ReLU", {"inplace": 2}, "inplace must be true or false, not 2"),
    ],
)
def test_a_flag_is_true_or_false_and_a_number_is_neither(
    compiled: Compiled, type_: str, params: dict[str, Any], text: str
) -> None:
    with pytest.raises(MisfitError, match=text):
        compiled([{"type": type_, "params": params}], [4])


def test_a_flag_may_be_a_bit(compiled: Compiled) -> None:
    assert compiled([{"type": "Linear", "params": {"out_features": 4, "bias": 0}}], [4])


def test_two_layers_of_one_name_are_refused_but_repeated_ones_are_not(compiled: Compiled) -> None:
    named = {"type": "Linear", "params": {"out_features": 4}, "name": "shared"}

    with pytest.raises(
        ConfigError, match=r"layers\[1\]\.name: 'shared' is the name of layers\[0\]"
    ):
        compiled([named, named], [4])

    assert compiled([{"type": "Repeat", "times": 2, "layers": [named]}], [4])


@pytest.mark.parametrize(
    ("change", "where", "text"),
    [
        ({"model_name": "my net"}, "model_name", "no name for a class"),
        ({"model_name": "class"}, "model_name", "no name for a class"),
        ({"model_name": "nn"}, "model_name", "cannot be"),
        ({"model_name": None}, "model_name", "no name for a class"),
        ({"input_shape": [3, -1]}, "input_shape", "-1 is no size"),
        ({"input_shape": []}, "input_shape", "1 to 8 sizes"),
        ({"input_shape": 3}, "input_shape", "1 to 8 sizes"),
        ({"input_shape": [True]}, "input_shape", "True is no size"),
        ({"layers": []}, "layers", "at least one"),
        ({"layers": "Linear"}, "layers", "a list of layers"),
        ({"layers": [7]}, "layers[0]", "an object"),
        ({"layers": [{}]}, "layers[0]", "no type"),
        ({"layers": [{"type": "ReLU", "parms": {}}]}, "layers[0]", "did you mean 'params'"),
        ({"layers": [{"type": "ReLU", "params": [1]}]}, "layers[0].params", "an object"),
        ({"layers": [{"type": "ReLU", "name": "forward"}]}, "layers[0].name", "nn.Module uses"),
        ({"layers": [{"type": "ReLU", "name": "a b"}]}, "layers[0].name", "no Python name"),
        ({"layers": [{"type": "ReLU", "output": "first"}]}, "layers[0].output", "last"),
        ({"layers": [{"type": "Add", "from": ["s"]}]}, "layers[0].from", "nothing is saved"),
        ({"layers": [{"type": "Residual", "layers": []}]}, "layers[0].layers", "needs layers"),
        ({"layers": [{"type": "Branch", "branches": [[]]}]}, "layers[0].branches", "two lists"),
        ({"layers": [{"type": "Repeat", "layers": []}]}, "layers[0].times", "missing"),
        ({"layres": []}, "model_config", "did you mean 'layers'"),
        ({"output_shape": [5]}, "output_shape", "asks for (B, 5), but the layers give (B, 4)"),
        ({"input_dtype": "float16"}, "input_dtype", "one of float32, int64"),
        ({"vocab_size": 0}, "vocab_size", "from 1"),
        ({"input_shape": [10**30]}, "input_shape", "from 1 to 1,000,000,000,000"),
    ],
)
def test_a_wrong_key_is_named(
    tmp_path: Path, change: dict[str, Any], where: str, text: str
) -> None:
    config = {"model_name": "Net", "input_shape": [4], "layers": [LINEAR]} | change

    with pytest.raises(ConfigError) as caught:
        compile_model(config, workspace=tmp_path)

    assert caught.value.where == where
    assert text in str(caught.value)


@pytest.mark.parametrize("key", ["model_name", "input_shape", "layers"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    config = {"model_name": "Net", "input_shape": [4], "layers": [LINEAR]}
    del config[key]

    with pytest.raises(ConfigError, match=f"{key}: is missing"):
        compile_model(config, workspace=tmp_path)


def test_streams_that_do_not_fit_name_both_shapes(compiled: Compiled) -> None:
    with pytest.raises(LayerError, match=r"\(B, 6\) and \(B, 4\).*a shortcut"):
        compiled([{"type": "Residual", "layers": [LINEAR]}], [6])

    branches = [[LINEAR], [{"type": "Unflatten", "params": {"dim": 1, "unflattened_size": [2, 3]}}]]
    with pytest.raises(LayerError, match="cannot be concatenated along dimension 1"):
        compiled([{"type": "Branch", "branches": branches}], [6])


def test_an_error_deep_in_a_stream_names_its_place(compiled: Compiled) -> None:
    stream = {"type": "Branch", "branches": [[], [LINEAR, {"type": "BatchNorm2d"}]]}

    with pytest.raises(MisfitError) as caught:
        compiled([LINEAR, {"type": "Residual", "layers": [stream]}], [6])

    assert caught.value.where == "layers[1].layers[0].branches[1][1]"


def test_the_budget_is_checked_before_memory_is_taken(tmp_path: Path) -> None:
    layers = [LINEAR, {"type": "Linear", "params": {"out_features": 10**12}}]
    config = {"model_name": "Net", "input_shape": [4], "layers": layers}

    with pytest.raises(LayerError, match=r"layers\[1\].*5,000,000,000,020 parameters.*1,000,000"):
        compile_model(config, workspace=tmp_path, max_params=1_000_000)


def test_an_output_past_all_measure_is_refused(compiled: Compiled) -> None:
    with pytest.raises(LayerError, match="past the largest"):
        compiled([{"type": "Upsample", "params": {"scale_factor": 100_000}}], [1, 8, 8])


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "Repeat", "times": 10**9, "layers": [LINEAR]},
        {"type": "Repeat", "times": 10**9, "layers": []},
        {
            "type": "Repeat",
            "times": 40,
            "layers": [{"type": "Repeat", "times": 60, "layers": [LINEAR]}],
        },
    ],
)
def test_a_config_cannot_grow_without_end(compiled: Compiled, layer: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="more than 2,000 layers"):
        compiled([layer], [4])


def test_nesting_without_end_is_refused(compiled: Compiled) -> None:
    layer: dict[str, Any] = LINEAR
    for _ in range(200):
        layer = {"type": "Sequential", "layers": [layer]}

    with pytest.raises(ConfigError, match="nested more than"):
        compiled([layer], [4])


def test_a_model_that_loses_its_batch_is_refused(compiled: Compiled) -> None:
    with pytest.raises(LayerError, match="lost the batch"):
        compiled([LINEAR, {"type": "Mean", "params": {"dim": 0}}], [4])


@pytest.mark.parametrize(
    "config",
    [
        {"description": "a small CNN for digits"},
        {"layers": ["two convolutions, then pool"]},
        {"layers": [{"description": "squeeze and excite with ratio 4"}]},
        {"layers": [LINEAR, {"type": "SqueezeExcite", "description": "ratio 4"}]},
    ],
)
def test_words_in_place_of_layers_are_left_to_a_language_model(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    with pytest.raises(InexpressibleError) as caught:
        compile_model({"model_name": "Net", "input_shape": [4]} | config, workspace=tmp_path)

    assert caught.value.where
    assert isinstance(caught.value, MLError)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (None, "no such file"),
        ("def broken(:\n", "line 1"),
        ("import nothing_like_this\n", "ModuleNotFoundError"),
        ("class Other: pass\n", "Block is not there; it defines none"),
        (
            "from torch import nn\nclass Bloc(nn.Module): pass\n",
            "Block is not there; its nn.Module classes: Bloc",
        ),
        ("raise SystemExit(0)\n", "SystemExit"),
    ],
)
def test_a_block_file_that_does_not_work_is_named(
    compiled: Compiled, tmp_path: Path, source: str | None, text: str
) -> None:
    if source is not None:
        (tmp_path / "block.py").write_text(source)

    with pytest.raises(ModelScriptError, match=text) as caught:
        compiled([{"type": "Block", "module_path": "block.py"}], [4])

    assert caught.value.where == "block.py"


def test_a_block_that_raises_is_named_with_its_parameters(
    compiled: Compiled, tmp_path: Path
) -> None:
    (tmp_path / "block.py").write_text(
        "from torch import nn\n\n\n"
        "class Block(nn.Module):\n"
        "    def __init__(self, width):\n"
        "        super().__init__()\n\n"
        "    def forward(self, x):\n"
        "        raise KeyError('no gate')\n"
    )

    with pytest.raises(MisfitError, match=r"Block\(width=3\) on shape \(B, 4\): KeyError"):
        compiled([{"type": "Block", "module_path": "block.py", "params": {"width": 3}}], [4])


@pytest.mark.parametrize("path", ["../outside.py", "/etc/hostname", "link.py"])
def test_a_block_outside_the_workspace_is_refused(tmp_path: Path, path: str) -> None:
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (tmp_path / "outside.py").write_text("raise SystemExit('ran')\n")
    (workspace / "link.py").symlink_to(tmp_path / "outside.py")
    config = {
        "model_name": "Net",
        "input_shape": [4],
        "layers": [{"type": "Block", "module_path": path}],
    }

    with pytest.raises(ModelScriptError, match="outside the workspace"):
        compile_model(config, workspace=workspace)


def test_a_model_is_not_written_over_the_block_it_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "block.py").write_text("from torch import nn\n\n\nclass Block(nn.ReLU): ...\n")
    layers = [{"type": "Block", "module_path": "block.py"}, LINEAR]
    config = {"model_name": "Net", "input_shape": [4], "layers": layers}

    with pytest.raises(ConfigError, match=r"output_script_path: 'block\.py' holds Block") as caught:
        compile_model(config, workspace=tmp_path, output_script_path="./block.py")

    assert caught.value.where == "output_script_path"


IN_PLACE = """from torch import nn


class AddsOne(nn.Module):
    def forward(self, x):
        return x.add_(1)


class Looks(nn.Module):
    def forward(self, x):
        return x.add_(1) if x.sum() < 1e9 else x
"""


@pytest.mark.parametrize("block", ["AddsOne", "Looks"])
def test_a_block_that_changes_what_others_read_is_refused(tmp_path: Path, block: str) -> None:
    (tmp_path / "block.py").write_text(IN_PLACE)
    changing = {"type": block, "module_path": "block.py"}
    config: dict[str, Any] = {"model_name": "Net", "input_shape": [4]}

    for layers in ([LINEAR, {"type": "Residual", "layers": [changing]}], [changing, LINEAR]):
        with pytest.raises(MisfitError, match="changes its input in place"):
            compile_model(config | {"layers": layers}, workspace=tmp_path)

    assert compile_model(config | {"layers": [LINEAR, changing]}, workspace=tmp_path)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_an_output_of_no_numbers_is_refused(compiled: Compiled) -> None:
    with pytest.raises(LayerError, match=r"layers\[0\]: its output \(B, 0\) holds no number"):
        compiled([{"type": "Linear", "params": {"out_features": 0}}], [4])
