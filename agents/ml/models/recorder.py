"""What the modules of a model do in one forward: their calls, output shapes and FLOPs."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import wraps
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from agents.ml.models.flops import UNCOUNTED
from agents.ml.models.packed import PACKED_OPERATORS, flops_with_packed, is_packed

# Attention uses its projection without calling it; what is within a compiled one is not seen.
_WHOLE = (nn.MultiheadAttention, torch.jit.ScriptModule)

_aten = torch.ops.aten
_PRODUCTS = {
    *(_aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm, _aten.addbmm, _aten.mv, _aten.addmv),
    *(_aten.dot, _aten.vdot, _aten.convolution),
}


@dataclass(slots=True)
class Layer:
    """What was seen of one module."""

    name: str
    module: nn.Module
    output_shape: list[int] | None = None
    flops: int = 0
    calls: int = 0


@dataclass(slots=True)
class _Call:
    """A call that is going on.

    Attributes:
        started: the FLOPs of all modules before it.
        is_inside: whether `forward` was reached; before it, hooks are run.
    """

    module: nn.Module
    started: int
    of_children: int = 0
    is_inside: bool = False


@dataclass(slots=True)
class Recorder:
    """Watches the calls of modules; FLOPs go to the innermost one that is running.

    A module is called, which its hooks tell, or its `forward` is, which they do not.
    """

    counter: FlopCounterMode
    layers: dict[nn.Module, Layer]
    used: set[int] = field(default_factory=set)
    order: list[Layer] = field(default_factory=list)
    _open: list[_Call] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See all calls: hooks of its own a module out of `torch.jit` does not take."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)  # one that raises, too
        try:
            with warnings.catch_warnings():
                # A compiled module is seen twice, once as what it wraps: nothing is counted twice.
                warnings.filterwarnings("ignore", "Using `torch.compile", UserWarning)
                with ExitStack() as stack:
                    for module in self.layers:
                        if not isinstance(module, torch.jit.ScriptModule):
                            stack.enter_context(self._watching_forward(module))
                    yield
        finally:
            before.remove()
            after.remove()

    @contextmanager
    def _watching_forward(self, module: nn.Module) -> Iterator[None]:
        """See the calls of `module.forward` that come not by a call of the module."""
        own, forward = module.__dict__.get("forward"), module.forward

        @wraps(forward)
        def watched(*inputs: Any, **named: Any) -> Any:
            if self._open and self._open[-1].module is module and not self._open[-1].is_inside:
                self._open[-1].is_inside = True
                return forward(*inputs, **named)
            self._enter(module, inputs)
            self._open[-1].is_inside = True
            output = None
            try:
                output = forward(*inputs, **named)
            finally:
                self._leave(module, inputs, output)
            return output

        module.__dict__["forward"] = watched
        try:
            yield
        finally:
            if own is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = own

    def _enter(self, module: nn.Module, inputs: Any) -> None:  # noqa: ARG002  torch's signature
        layer = self.layers.get(module)
        if layer is None:
            return
        if layer.calls == 0:
            self.order.append(layer)
        layer.calls += 1
        self._open.append(_Call(module, self.counter.get_total_flops()))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG002  torch's signature
        layer = self.layers.get(module)
        if layer is None:
            return
        call = self._open.pop()
        taken = self.counter.get_total_flops() - call.started
        layer.flops += taken - call.of_children
        layer.output_shape = layer.output_shape or _shape_of(output)
        if self._open:
            self._open[-1].of_children += taken


def run(model: nn.Module, x: Tensor) -> Recorder:
    """Run `model` on `x` and return what was seen of it."""
    counter = _Counter()
    layers = {module: Layer(name, module) for name, module in _modules(model)}
    recorder = Recorder(counter, layers)
    arithmetic = _Arithmetic(model)
    with recorder.watching(), _nothing_fused(), torch.no_grad(), counter, arithmetic:
        model(x)
    recorder.used = arithmetic.seen
    return recorder


def is_whole(module: nn.Module) -> bool:
    """Whether a module is one layer with all that it holds."""
    return isinstance(module, _WHOLE) or is_packed(module)


def _modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Name every module, those that are one with what they hold without that."""
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        if is_whole(module):
            inside.update(child for child in module.modules() if child is not module)
        if module not in inside:
            yield name, module


class _Everywhere:
    """In place of torch's tracker of modules, which forbids gradients within a forward."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class _Counter(FlopCounterMode):
    """Counts the FLOPs of all modules together."""

    def __init__(self) -> None:
        packed = dict.fromkeys(PACKED_OPERATORS, flops_with_packed)
        super().__init__(display=False, custom_mapping={**UNCOUNTED, **packed})
        self.mod_tracker = _Everywhere()  # type: ignore[assignment]  # of which it needs no more


class _Arithmetic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Notes which parameters and buffers it takes, a module's own or another's.

    Products of different dtypes are refused: so they are but on the meta device.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self._known = set(map(id, chain(model.parameters(), model.buffers())))
        self.seen: set[int] = set()

    def __torch_dispatch__(  # torch's name and signature
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves, _ = tree_flatten((args, kwargs))
        self.seen.update(self._known.intersection(map(id, leaves)))
        if getattr(func, "overloadpacket", None) in _PRODUCTS:
            kinds = {str(leaf.dtype) for leaf in leaves if isinstance(leaf, Tensor)}
            if len(kinds) > 1:
                raise TypeError(f"a product of {' and '.join(sorted(kinds))}")
        return func(*args, **kwargs)


@contextmanager
def _nothing_fused() -> Iterator[None]:
    """Have attention and recurrent layers computed by the products the counter knows."""
    was_fast = torch.backends.mha.get_fastpath_enabled()
    mkldnn: Any = torch.backends.mkldnn  # checkers misread its properties
    was_enabled = mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    mkldnn.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
        mkldnn.enabled = was_enabled


def _shape_of(output: Any) -> list[int] | None:
    """Shape of the first tensor in what a module returned."""
    if isinstance(output, Tensor):
        return list(output.shape)
    if isinstance(output, dict):
        output = list(output.values())
    elif is_dataclass(output) and not isinstance(output, type):
        output = [getattr(output, part.name) for part in fields(output)]
    if isinstance(output, list | tuple):
        shapes = (_shape_of(item) for item in output)
        return next((shape for shape in shapes if shape is not None), None)
    return None
