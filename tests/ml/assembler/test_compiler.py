import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from agents.ml.assembler import CompiledModel, compile_model
from agents.ml.models.script import build_model

Compiled = Callable[..., CompiledModel]
Built = Callable[..., nn.Module]

SIMPLE_CNN = {
    "model_name": "SimpleCNN",
    "input_shape": [3, 32, 32],
    "layers": [
        {
            "type": "Conv2d",
            "params": {"in_channels": 3, "out_channels": 16, "kernel_size": 3, "padding": 1},
        },
        {"type": "ReLU"},
        {"type": "MaxPool2d", "params": {"kernel_size": 2}},
        {"type": "Flatten"},
        {"type": "Linear", "params": {"out_features": 10}},
    ],
}

SIMPLE_CNN_SOURCE = '''\
"""SimpleCNN, compiled from a model config. In shapes, B is the batch."""

from torch import Tensor, nn


class SimpleCNN(nn.Module):
    """Maps float32 (B, 3, 32, 32) to (B, 10) with 41,418 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1 = nn.Conv2d(in_channels=3, out_channels=16, kernel_size=3, padding=1)
        self.relu_1 = nn.ReLU()
        self.max_pool2d_1 = nn.MaxPool2d(kernel_size=2)
        self.flatten_1 = nn.Flatten()
        self.linear_1 = nn.Linear(in_features=4096, out_features=10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_1(x)  # (B, 16, 32, 32)
        x = self.relu_1(x)  # (B, 16, 32, 32)
        x = self.max_pool2d_1(x)  # (B, 16, 16, 16)
        x = self.flatten_1(x)  # (B, 4096)
        return self.linear_1(x)  # (B, 10)
'''

ATTENTION_BLOCK = """\
from torch import nn


class CustomAttentionBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return x + mixed.transpose(1, 2).reshape(x.shape)
"""


def conv(channels: int, size: int = 3, **more: Any) -> dict[str, Any]:
    params = {"out_channels": channels, "kernel_size": size, "padding": size // 2, **more}
    return {"type": "Conv2d", "params": params}


def linear(width: int) -> dict[str, Any]:
    return {"type": "Linear", "params": {"out_features": width}}


def train_a_step(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = model(x)
    output.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    return output


def test_the_documents_example_gives_exactly_this_source(tmp_path: Path) -> None:
    compiled = compile_model(SIMPLE_CNN, workspace=tmp_path)

    assert compiled.source == SIMPLE_CNN_SOURCE
    assert compiled.output_shape == (10,)
    assert compiled.total_params == 16 * 3 * 9 + 16 + 4096 * 10 + 10


def test_the_documents_structure_with_a_custom_block_compiles(tmp_path: Path) -> None:
    (tmp_path / "src/models").mkdir(parents=True)
    (tmp_path / "src/models/custom_blocks.py").write_text(ATTENTION_BLOCK)
    block = {
        "type": "CustomAttentionBlock",
        "module_path": "src/models/custom_blocks.py",
        "params": {"dim": 64, "heads": 8},
    }
    config = {
        "model_name": "MyNewModel",
        "input_shape": [3, 32, 32],
        "layers": [
            conv(64, in_channels=3, stride=1),
            {"type": "ReLU", "params": {"inplace": True}},
            {"type": "MaxPool2d", "params": {"kernel_size": 2, "stride": 2}},
            block,
            {"type": "AdaptiveAvgPool2d", "params": {"output_size": [1, 1]}},
            {"type": "Flatten"},
            linear(10),
        ],
    }

    compiled = compile_model(config, workspace=tmp_path, output_script_path="out/net.py")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/net.py").write_text(compiled.source)

    model = build_model("out/net.py", "MyNewModel", workspace=tmp_path)
    assert train_a_step(model, torch.randn(3, 3, 32, 32)).shape == (3, 10)


def test_the_same_config_gives_the_same_text(tmp_path: Path) -> None:
    first = compile_model(SIMPLE_CNN, workspace=tmp_path).source

    assert compile_model(SIMPLE_CNN, workspace=tmp_path).source == first


def test_forward_equals_the_same_layers_written_by_hand(built: Built) -> None:
    model = built(
        [
            conv(8, bias=False),
            {"type": "BatchNorm2d"},
            {"type": "GELU"},
            {"type": "AvgPool2d", "params": {"kernel_size": [2, 2]}},
            {"type": "GroupNorm", "params": {"num_groups": 2}},
            {"type": "Flatten"},
            {"type": "LayerNorm"},
            linear(5),
        ],
        [3, 8, 8],
    )
    by_hand = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.AvgPool2d((2, 2)),
        nn.GroupNorm(2, 8),
        nn.Flatten(),
        nn.LayerNorm(128),
        nn.Linear(128, 5),
    )
    by_hand.load_state_dict(
        dict(zip(by_hand.state_dict(), model.state_dict().values(), strict=True))
    )
    x = torch.randn(4, 3, 8, 8)

    torch.testing.assert_close(model(x), by_hand(x), rtol=0, atol=0)


def test_a_residual_stream_adds_its_input(built: Built) -> None:
    model = built([{"type": "Residual", "layers": [linear(6), {"type": "Tanh"}]}], [6])
    x = torch.randn(3, 6)

    torch.testing.assert_close(model(x), x + torch.tanh(model.linear_1(x)))


def test_a_residual_stream_may_have_layers_on_its_shortcut(built: Built) -> None:
    stream = {"type": "Residual", "layers": [linear(4)], "shortcut": [linear(4)]}
    model = built([stream, {"type": "ReLU"}], [6])
    x = torch.randn(3, 6)

    torch.testing.assert_close(model(x), (model.linear_1(x) + model.linear_2(x)).relu())


def test_an_in_place_layer_does_not_spoil_the_shortcut(built: Built) -> None:
    in_place = {"type": "ReLU", "params": {"inplace": True}}
    model = built([{"type": "Residual", "layers": [{"type": "Identity"}, in_place]}], [6])
    x = torch.randn(3, 6)

    torch.testing.assert_close(model(x.clone()), x + x.relu())


@pytest.mark.parametrize(
    ("merge", "join"),
    [
        ("concat", lambda a, b: torch.cat((a, b), dim=1)),
        ("add", lambda a, b: a + b),
        ("mul", lambda a, b: a * b),
    ],
)
def test_branches_see_the_same_input_and_are_merged(
    built: Built, merge: str, join: Callable[..., torch.Tensor]
) -> None:
    branches = [[linear(6), {"type": "ReLU", "params": {"inplace": True}}], []]
    model = built([linear(6), {"type": "Branch", "branches": branches, "merge": merge}], [6])
    x = torch.randn(3, 6)
    trunk = model.linear_1(x)

    torch.testing.assert_close(model(x), join(model.linear_2(trunk).relu(), trunk))


def test_what_a_layer_saves_can_be_joined_later(built: Built) -> None:
    model = built(
        [
            {**conv(4), "save_as": "skip"},
            {"type": "ReLU", "params": {"inplace": True}},
            {"type": "MaxPool2d", "params": {"kernel_size": 2}},
            {"type": "Upsample", "params": {"scale_factor": 2}},
            {"type": "Concat", "from": ["skip"]},
            {**conv(4), "save_as": "late"},
            {"type": "Add", "from": ["skip", "late"]},
        ],
        [1, 8, 8],
    )
    x = torch.randn(2, 1, 8, 8)
    skip = model.conv2d_1(x)
    late = model.conv2d_2(torch.cat((model.upsample_1(model.max_pool2d_1(skip.relu())), skip), 1))

    torch.testing.assert_close(train_a_step(model, x), late + skip + late)


def test_repeated_layers_have_weights_of_their_own(built: Built) -> None:
    model = built([{"type": "Repeat", "times": 3, "layers": [{**linear(6), "name": "fc"}]}], [6])

    names = [name for name, _ in model.named_children()]

    assert names == ["fc", "fc_1", "fc_2"]
    assert sum(p.numel() for p in model.parameters()) == 3 * 42


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_text_model_reads_tokens(built: Built, kind: str) -> None:
    recurrent = {"type": kind, "params": {"hidden_size": 7, "bidirectional": True}}
    model = built(
        [
            {"type": "Embedding", "params": {"embedding_dim": 5}},
            {**recurrent, "output": "last"},
            linear(3),
        ],
        [11],
        vocab_size=50,
    )
    tokens = torch.randint(0, 50, (4, 11))
    layer = getattr(model, f"{kind.lower()}_1")
    hidden = layer(model.embedding_1(tokens))[1]
    hidden = hidden[0] if kind == "LSTM" else hidden

    torch.testing.assert_close(
        train_a_step(model, tokens), model.linear_1(torch.cat((hidden[0], hidden[1]), dim=1))
    )


def test_a_recurrent_layer_passes_its_sequence_on_by_default(compiled: Compiled) -> None:
    model = compiled([{"type": "GRU", "params": {"hidden_size": 7}}], [11, 5])

    assert model.output_shape == (11, 7)


def test_a_transformer_encoder_reads_tokens(built: Built) -> None:
    layer = {"type": "TransformerEncoderLayer", "params": {"nhead": 2, "dropout": 0.0}}
    model = built(
        [
            {"type": "Embedding", "params": {"num_embeddings": 50, "embedding_dim": 8}},
            {"type": "PositionalEmbedding"},
            {"type": "TransformerEncoder", "params": {"encoder_layer": layer, "num_layers": 2}},
            layer,
            {"type": "MultiheadAttention", "params": {"num_heads": 2}},
            {"type": "Mean", "params": {"dim": 1}},
            linear(3),
        ],
        [11],
    )

    assert train_a_step(model, torch.randint(0, 50, (4, 11))).shape == (4, 3)
    assert model(torch.randint(0, 50, (4, 6))).shape == (4, 3)


@pytest.mark.parametrize(
    ("operation", "output_shape"),
    [
        ({"type": "Permute", "params": {"dims": [0, 2, 3, 1]}}, (6, 8, 4)),
        ({"type": "Reshape", "params": {"shape": [2, -1]}}, (2, 96)),
        ({"type": "Mean", "params": {"dim": [2, 3]}}, (4,)),
        ({"type": "Max", "params": {"dim": 1, "keepdim": True}}, (1, 6, 8)),
        ({"type": "Select", "params": {"dim": 1, "index": 0}}, (6, 8)),
        ({"type": "Unflatten", "params": {"dim": 1, "unflattened_size": [2, 2]}}, (2, 2, 6, 8)),
    ],
)
def test_steps_without_a_module(
    built: Built, compiled: Compiled, operation: dict[str, Any], output_shape: tuple[int, ...]
) -> None:
    assert compiled([operation], [4, 6, 8]).output_shape == output_shape
    assert built([operation], [4, 6, 8])(torch.randn(3, 4, 6, 8)).shape == (3, *output_shape)


def test_one_of_several_outputs_goes_on(built: Built) -> None:
    pool = {"type": "MaxPool2d", "params": {"kernel_size": 2, "return_indices": True}, "output": 0}

    assert built([pool], [1, 4, 4])(torch.randn(2, 1, 4, 4)).shape == (2, 1, 2, 2)


def test_blocks_of_one_stem_and_a_class_named_linear_do_not_clash(tmp_path: Path) -> None:
    for folder, width in (("a", 4), ("b", 9)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "blocks.py").write_text(
            "from torch import nn\n\n\n"
            "class Linear(nn.Module):\n"
            "    def __init__(self, in_features):\n"
            "        super().__init__()\n"
            f"        self.inner = nn.Linear(in_features, {width})\n\n"
            "    def forward(self, x):\n"
            "        return self.inner(x)\n"
        )
    layers = [
        {"type": "Linear", "module_path": "a/blocks.py"},
        {"type": "Linear", "module_path": "b/blocks.py"},
        linear(2),
    ]
    config = {"model_name": "Net", "input_shape": [6], "layers": layers}

    compiled = compile_model(config, workspace=tmp_path, output_script_path="out/net.py")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/net.py").write_text(compiled.source)

    model = build_model("out/net.py", "Net", workspace=tmp_path)
    assert [tuple(p.shape) for p in model.parameters() if p.dim() == 2] == [(4, 6), (9, 4), (2, 9)]


def test_a_file_with_custom_blocks_works_from_any_directory(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(ATTENTION_BLOCK)
    block = {
        "type": "CustomAttentionBlock",
        "module_path": "blocks.py",
        "params": {"dim": 4, "heads": 2},
    }
    config = {"model_name": "Net", "input_shape": [4, 3, 3], "layers": [block]}
    source = compile_model(config, workspace=tmp_path, output_script_path="deep/er/net.py").source
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/net.py").write_text(source)
    code = "import net, torch; print(tuple(net.Net()(torch.ones(2, 4, 3, 3)).shape))"

    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "deep/er")},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout == "(2, 4, 3, 3)\n"


def test_a_block_that_looks_at_values_is_stepped_for_real(built: Built, tmp_path: Path) -> None:
    (tmp_path / "gate.py").write_text(
        "from torch import nn\n\n\n"
        "class Gate(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x * 2 if x.sum() > 1e9 else x[:, :3]\n"
    )

    model = built([{"type": "Gate", "module_path": "gate.py"}, linear(2)], [6])

    assert model.linear_1.in_features == 3


def test_words_of_the_user_stay_words(compiled: Compiled) -> None:
    hostile = 'a """\nimport os; os.abort()\n# \\" \x00 net'

    source = compiled([{**linear(2), "description": hostile}], [3], description=hostile).source

    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    assert "os" not in names
    assert not any(isinstance(node, ast.Import) for node in ast.walk(ast.parse(source)))


def test_generated_source_is_formatted_and_free_of_findings(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(ATTENTION_BLOCK)
    layers = [
        conv(8, bias=False, padding_mode="reflect", dilation=[1, 1]),
        {"type": "Residual", "layers": [conv(8)]},
        {
            "type": "CustomAttentionBlock",
            "module_path": "blocks.py",
            "params": {"dim": 8, "heads": 2},
            "description": "mixes positions",
        },
    ]
    config = {"model_name": "Net", "input_shape": [3, 8, 8], "layers": layers}
    (tmp_path / "net.py").write_text(compile_model(config, workspace=tmp_path).source)
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length=100", str(tmp_path / "net.py")]
    ignored = "--ignore=INP001,D203,D213,D107,D102,S101,COM812,CPY"

    subprocess.run([*ruff, "format", "--check", *options], check=True, capture_output=True)
    subprocess.run(
        [*ruff, "check", "--select=ALL", ignored, *options], check=True, capture_output=True
    )


SPATIAL = st.sampled_from(
    [
        conv(6),
        conv(4, 1),
        {"type": "BatchNorm2d"},
        {"type": "ReLU", "params": {"inplace": True}},
        {"type": "Sigmoid"},
        {"type": "Dropout2d", "params": {"p": 0.1}},
        {"type": "AvgPool2d", "params": {"kernel_size": 3, "stride": 1, "padding": 1}},
        {"type": "GroupNorm", "params": {"num_groups": 1}},
    ]
)


def _streams(layers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    stacks = st.lists(layers, min_size=1, max_size=3)
    return st.one_of(
        stacks.map(
            lambda body: {"type": "Residual", "layers": [*body, conv(5)], "shortcut": [conv(5, 1)]}
        ),
        st.tuples(stacks, stacks).map(lambda pair: {"type": "Branch", "branches": list(pair)}),
        stacks.map(lambda body: {"type": "Repeat", "times": 2, "layers": body}),
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.recursive(SPATIAL, _streams, max_leaves=6), min_size=1, max_size=4))
def test_any_stack_that_compiles_runs_as_claimed(tmp_path: Path, layers: list[Any]) -> None:
    config = {
        "model_name": "Net",
        "input_shape": [3, 6, 6],
        "layers": [conv(4), *layers, {"type": "Flatten"}, linear(2)],
    }

    compiled = compile_model(config, workspace=tmp_path)
    (tmp_path / "model.py").write_text(compiled.source)
    model = build_model("model.py", "Net", workspace=tmp_path)

    assert sum(parameter.numel() for parameter in model.parameters()) == compiled.total_params
    assert train_a_step(model, torch.randn(3, 3, 6, 6)).shape == (3, 2)
