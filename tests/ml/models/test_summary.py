import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic

from agents.ml.errors import ConfigError, ModelScriptError
from agents.ml.models.summary import pytorch_model_summary, summarize

CNN = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean(dim=(2, 3)))


class Other(nn.Module):
    pass
"""


class Forward(nn.Module):
    """A model from a function, with the modules it uses."""

    def __init__(self, run: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self._run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self._run(self, x)


def rows(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in summary["layer_details"]}


def test_a_cnn_has_the_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CNN)

    summary = pytorch_model_summary("net.py", "Net", (2, 3, 8, 8), workspace=tmp_path)

    conv_macs, head_macs = 2 * 8 * 8 * 16 * 3 * 9, 2 * 16 * 10
    assert summary["total_params"] == (3 * 9 * 16 + 16) + 2 * 16 + (16 * 10 + 10)
    assert summary["trainable_params"] == summary["total_params"]
    assert summary["macs"] == conv_macs + head_macs
    assert summary["flops"] == 2 * summary["macs"]
    layers = rows(summary)
    assert list(layers) == ["conv", "norm", "head"]
    assert layers["conv"]["macs"] == conv_macs
    assert layers["conv"]["output_shape"] == [2, 16, 8, 8]
    assert layers["norm"]["params"] == 32
    assert summary["device"] == "meta"


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        # A gate takes (input + hidden) x hidden products a step: 4 gates in an LSTM, 3 in a GRU.
        (lambda: nn.LSTM(32, 64, batch_first=True), 2 * 10 * 4 * (32 + 64) * 64),
        (lambda: nn.GRU(32, 64, batch_first=True), 2 * 10 * 3 * (32 + 64) * 64),
        (lambda: nn.RNN(32, 64, batch_first=True), 2 * 10 * (32 + 64) * 64),
        (
            lambda: nn.LSTM(32, 64, num_layers=2, bidirectional=True, batch_first=True),
            2 * 10 * 2 * 4 * ((32 + 64) * 64 + (128 + 64) * 64),
        ),
    ],
)
def test_recurrent_layers_are_exact(layer: Callable[[], nn.Module], macs: int, device: str) -> None:
    def run(model: nn.Module, x: Tensor) -> Tensor:
        looks = device == "cpu" and bool(x.sum() > 1)
        assert not looks
        output: Tensor = model.layer(x)[0]
        return output

    summary = summarize(lambda: Forward(run, layer=layer()), (2, 10, 32))

    assert summary["device"] == device
    assert rows(summary)["layer"]["macs"] == summary["macs"] == macs


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_attention_is_exact(device: str) -> None:
    def run(model: nn.Module, x: Tensor) -> Tensor:
        assert device == "meta" or float(x.sum()) == 0
        output: Tensor = model.attention(x, x, x, need_weights=False)[0]
        return output

    def build() -> nn.Module:
        return Forward(run, attention=nn.MultiheadAttention(32, 4, batch_first=True))

    summary = summarize(build, (2, 10, 32))

    projections = 2 * 10 * 4 * 32 * 32
    scores_and_mix = 2 * 2 * 10 * 10 * 32
    assert summary["macs"] == projections + scores_and_mix
    assert summary["total_params"] == 4 * (32 * 32 + 32)
    assert [row["name"] for row in summary["layer_details"]] == ["attention"]
    assert summary["unused_modules"] == []
    assert summary["device"] == device


def test_a_transformer_encoder_layer_is_exact() -> None:
    def build() -> nn.Module:
        return nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, batch_first=True)

    summary = summarize(build, (2, 10, 32))

    attention = 2 * 10 * 4 * 32 * 32 + 2 * 2 * 10 * 10 * 32
    assert summary["macs"] == attention + 2 * 10 * 2 * 32 * 64
    assert sum(row["macs"] for row in summary["layer_details"]) == summary["macs"]


def test_tokens_are_found_out_to_be_the_input() -> None:
    summary = summarize(lambda: nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 3)), (2, 11))

    assert summary["input_dtype"] == "int64"
    assert summary["total_params"] == 400 + 27
    assert summary["macs"] == 2 * 11 * 8 * 3


def test_shared_weights_are_counted_once() -> None:
    def build() -> nn.Module:
        embed, head = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
        head.weight = embed.weight
        return nn.Sequential(embed, head)

    summary = summarize(build, (2, 11))

    assert summary["total_params"] == 400
    assert rows(summary)["1"]["params"] == 0
    assert rows(summary)["1"]["shares_with"] == ["0.weight"]
    assert "shares weights" in summary["summary_str"]


def test_a_module_called_twice_costs_twice_and_weighs_once() -> None:
    def build() -> nn.Module:
        return Forward(lambda model, x: model.fc(model.fc(x)), fc=nn.Linear(8, 8))

    summary = summarize(build, (2, 8))

    assert rows(summary)["fc"]["calls"] == 2
    assert (summary["total_params"], summary["macs"]) == (72, 2 * 2 * 8 * 8)


def test_modules_that_are_never_used_are_listed() -> None:
    def build() -> nn.Module:
        return Forward(lambda model, x: model.fc(x), fc=nn.Linear(8, 8), spare=nn.Linear(8, 2))

    summary = summarize(build, (2, 8))

    assert summary["unused_modules"] == ["spare"]
    assert summary["total_params"] == 72 + 18
    assert rows(summary)["spare"]["output_shape"] is None
    assert "never used  spare" in summary["summary_str"]


def test_parameters_that_another_module_uses_are_not_unused() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.ParameterList([torch.zeros(6, 6) for _ in range(2)])
            self.named = nn.ParameterDict({"bias": torch.zeros(6)})
            self.tied = nn.Linear(6, 6)
            self.left = nn.ParameterList([torch.zeros(3)])

        def forward(self, x: Tensor) -> Tensor:
            for weight in self.weights:
                x = x @ weight
            return nn.functional.linear(x, self.tied.weight) + self.named["bias"]

    summary = summarize(Listed, (2, 6))

    assert summary["unused_modules"] == ["left"]
    assert summary["macs"] == 3 * 2 * 36
    assert summary["total_params"] == 2 * 36 + 6 + 42 + 3


def test_a_module_whose_buffer_another_reads_is_not_unused() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.zeros(6))

    read = Positions
    summary = summarize(
        lambda: Forward(lambda self, x: x + self.read.table, read=read(), left=read()), (2, 6)
    )

    assert summary["unused_modules"] == ["left"]


@pytest.mark.parametrize(
    "compiled", [torch.jit.script, lambda m: torch.jit.trace(m, torch.zeros(2, 6))]
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_part_out_of_torch_jit_is_one_layer(compiled: Callable[[nn.Module], nn.Module]) -> None:
    def build() -> nn.Module:
        part = compiled(nn.Sequential(nn.Linear(6, 5), nn.ReLU()))
        return Forward(lambda self, x: self.head(self.part(x)), part=part, head=nn.Linear(5, 2))

    summary = summarize(build, (2, 6))

    layers = rows(summary)
    assert summary["total_params"] == 6 * 5 + 5 + 5 * 2 + 2
    assert (layers["part"]["params"], layers["part"]["macs"]) == (35, 60)
    assert layers["part"]["output_shape"] == [2, 5]
    assert layers["head"]["macs"] == 20
    assert summary["unused_modules"] == []


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own
def test_a_part_that_would_be_compiled_is_counted_and_not_compiled() -> None:
    def build() -> nn.Module:
        return Forward(lambda self, x: self.part(x), part=torch.compile(nn.Linear(6, 5)))

    summary = summarize(build, (2, 6))

    assert (summary["total_params"], summary["macs"], summary["device"]) == (35, 60, "meta")


def test_products_are_of_the_layer_that_ran_where_another_failed() -> None:
    def run(self: Any, x: Tensor) -> Any:
        try:
            return self.first(x)
        except RuntimeError:
            return self.second(x)

    summary = summarize(lambda: Forward(run, first=nn.Linear(5, 5), second=nn.Linear(6, 3)), (2, 6))

    macs = {name: row["macs"] for name, row in rows(summary).items()}
    assert macs == {"first": 0, "second": 2 * 6 * 3}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_a_model_of_other_numbers_is_given_its_own(dtype: torch.dtype) -> None:
    summary = summarize(lambda: nn.Linear(6, 5, dtype=dtype), (2, 6))

    assert (summary["macs"], summary["input_dtype"]) == (60, str(dtype).removeprefix("torch."))


def test_a_lazy_layer_has_its_size_once_it_was_called_and_none_before() -> None:
    def build() -> nn.Module:
        return Forward(lambda self, x: self.a(x), a=nn.LazyLinear(5), b=nn.LazyLinear(5))

    summary = summarize(build, (2, 6))

    assert summary["total_params"] == 35
    assert summary["unused_modules"] == ["b"]


@dataclass
class Answer:
    """What some models put out."""

    loss: None
    logits: Tensor


@pytest.mark.parametrize(
    ("pack", "shape"),
    [
        (lambda x: {"none": None, "nested": [None, {"x": x}]}, [2, 5]),
        (lambda x: Answer(None, x), [2, 5]),
        (lambda x: torch.distributions.Categorical(logits=x), None),
        (lambda _: None, None),
    ],
)
def test_an_output_may_be_anything(pack: Callable[[Tensor], Any], shape: list[int] | None) -> None:
    def build() -> nn.Module:
        model = Forward(lambda self, x: pack(self.l(x)), l=nn.Linear(6, 5))
        model.own = nn.Parameter(torch.zeros(3))
        return model

    summary = summarize(build, (2, 6))

    assert rows(summary)["(model)"]["output_shape"] == shape
    assert summary["macs"] == 60


@pytest.mark.parametrize(
    ("size", "run", "macs"),
    [
        ((2, 7, 6), lambda x: x @ x.new_zeros(6), 84),
        ((2, 6), lambda x: x @ x.new_zeros(6), 12),
        ((6,), lambda x: torch.dot(x, x), 6),
        ((2, 6), lambda x: torch.addmv(x.new_zeros(2), x, x.new_zeros(6)), 12),
        ((2, 3, 4), lambda x: torch.addbmm(x.new_zeros(3, 5), x, x.new_zeros(2, 4, 5)), 120),
        ((2, 6), lambda x: torch.einsum("bi,i->b", x, x.new_zeros(6)), 12),
        ((2, 3), lambda x: nn.functional.bilinear(x, x, x.new_zeros(5, 3, 3)), 90),
    ],
)
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_products_with_vectors_are_counted(
    size: tuple[int, ...], run: Callable[[Tensor], Tensor], macs: int, device: str
) -> None:
    def forward(_: nn.Module, x: Tensor) -> Tensor:
        assert device == "meta" or float(x.sum()) == 0  # a look at values leads to the CPU
        return run(x)

    summary = summarize(lambda: Forward(forward), size)

    assert (summary["macs"], summary["flops"]) == (macs, 2 * macs)
    assert summary["device"] == device


def test_frozen_parameters_are_not_trainable() -> None:
    def build() -> nn.Module:
        model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
        model[0].requires_grad_(False)
        return model

    summary = summarize(build, (2, 8))

    assert (summary["total_params"], summary["trainable_params"]) == (90, 18)
    assert [row["trainable"] for row in summary["layer_details"]] == [False, True]


def test_a_models_own_parameters_and_products_are_its_own_row() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(8, 5))
            self.fc = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.fc(x @ self.weight)
            return output

    layers = rows(summarize(Net, (2, 8)))

    assert (layers["(model)"]["params"], layers["(model)"]["macs"]) == (40, 2 * 8 * 5)
    assert (layers["fc"]["params"], layers["fc"]["macs"]) == (18, 2 * 5 * 3)


def test_a_batch_of_one_does_not_trip_batch_normalisation() -> None:
    summary = summarize(lambda: nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4)), (1, 8))

    assert summary["device"] == "meta"


def test_a_model_far_larger_than_memory_is_summarised() -> None:
    summary = summarize(lambda: nn.Linear(10**6, 10**6, bias=False), (1, 10**6))

    assert summary["total_params"] == 10**12


def test_the_table_shows_layers_and_totals(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CNN)

    table = pytorch_model_summary("net.py", "Net", (1, 3, 8, 8), workspace=tmp_path)["summary_str"]

    assert table.splitlines()[0] == "Net on float32 (1, 3, 8, 8)"
    assert "conv   Conv2d       (1, 16, 8, 8)     448  27,648" in table
    assert "parameters  650 (650 trainable)" in table


def test_a_wrong_class_name_lists_the_classes_there_are(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CNN)

    with pytest.raises(ModelScriptError, match="Net, Other"):
        pytorch_model_summary("net.py", "Nett", (1, 3, 8, 8), workspace=tmp_path)


def test_an_input_that_does_not_fit_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CNN)

    with pytest.raises(ModelScriptError, match=r"input \(1, 4, 8, 8\).*channels"):
        pytorch_model_summary("net.py", "Net", (1, 4, 8, 8), workspace=tmp_path)


def test_what_does_not_fit_is_named_for_inputs_larger_than_memory(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CNN)

    with pytest.raises(ModelScriptError, match="Invalid channel"):
        pytorch_model_summary("net.py", "Net", (10**9, 4, 999, 999), workspace=tmp_path)


@pytest.mark.parametrize("size", [(), (0, 3), (1, -1), "13", (1, 2.5), (True, 3), (1, 10**30)])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match="input_size"):
        pytorch_model_summary("net.py", "Net", size)


def test_a_model_may_take_gradients_within_its_forward() -> None:
    def run(self: Any, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.energy(x).sum(), x)
        return slope

    summary = summarize(lambda: Forward(run, energy=nn.Linear(6, 1)), (2, 6))

    assert rows(summary)["energy"]["macs"] == 2 * 6
    assert summary["macs"] > 2 * 6


@pytest.mark.parametrize(
    ("call", "calls"),
    [
        (lambda net, x: net.head.forward(net.body(x)), 1),
        (lambda net, x: net.head.forward(net.body.forward(x)), 1),
        (lambda net, x: net.head(net.body(x)) + net.head.forward(net.body(x)), 2),
    ],
    ids=["a layer", "a container", "both ways"],
)
def test_a_forward_that_is_called_directly_is_seen(
    call: Callable[[Any, Tensor], Tensor], calls: int
) -> None:
    def build() -> nn.Module:
        return Forward(call, body=nn.Sequential(nn.Linear(8, 4), nn.ReLU()), head=nn.Linear(4, 2))

    summary = summarize(build, (3, 8))

    head = rows(summary)["head"]
    assert (head["calls"], head["output_shape"]) == (calls, [3, 2])
    assert head["macs"] == calls * 3 * 4 * 2
    assert rows(summary)["body.0"]["macs"] == calls * 3 * 8 * 4
    assert summary["unused_modules"] == []
    assert summary["macs"] == sum(row["macs"] for row in summary["layer_details"])


def test_a_summary_leaves_the_model_as_it_was() -> None:
    model = Forward(lambda net, x: net.head.forward(x), head=nn.Linear(4, 2))
    own = model.head.forward = model.head.forward  # as some libraries put theirs in its place

    summarize(lambda: model, (3, 4))

    assert model.head.__dict__["forward"] is own
    assert "forward" not in model.__dict__


def _quantized(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have another library do it by now
        kinds = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell}
        return quantize_dynamic(model.eval(), kinds, dtype=torch.qint8)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (lambda: nn.Linear(8, 4), (3, 8)),
        (lambda: nn.Linear(8, 4, bias=False), (3, 5, 8)),
        (lambda: nn.LSTM(8, 4), (5, 3, 8)),
        (lambda: nn.LSTM(8, 4, num_layers=2, bidirectional=True, batch_first=True), (3, 5, 8)),
        (lambda: nn.GRU(8, 4, num_layers=2), (5, 3, 8)),
        (lambda: nn.LSTMCell(8, 4), (3, 8)),
        (lambda: nn.GRUCell(8, 4), (3, 8)),
    ],
    ids=["linear", "no bias", "LSTM", "deep LSTM", "GRU", "LSTM cell", "GRU cell"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_quantized_layer_has_the_numbers_of_what_it_was_made_from(
    layer: Callable[[], nn.Module], size: tuple[int, ...]
) -> None:
    def build() -> nn.Module:
        return Forward(lambda net, x: net.layer(x), layer=layer())

    before, after = summarize(build, size), summarize(lambda: _quantized(build()), size)

    assert after["total_params"] == before["total_params"] > 0
    assert after["macs"] == before["macs"] > 0
    assert after["trainable_params"] == 0
    assert rows(after).keys() == rows(before).keys() == {"layer"}
