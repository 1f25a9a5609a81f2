"""The methods of an optimizer that take a gradient through the parts of a rule."""

from collections.abc import Iterator, Mapping

from agents.ml.update_rules.rule import UpdateRule

_SCHEDULES = {
    "warmup": 'return min(1.0, step / group["{steps}"])',
    "cosine_then_constant": (
        'done = min(1.0, step / group["{steps}"])\n'
        "    falling = 0.5 * (1 + math.cos(math.pi * done))\n"
        '    return group["{final}"] + (1 - group["{final}"]) * falling'
    ),
    "inverse_sqrt": 'return (1 + step / group["{steps}"]) ** -0.5',
}


def steps_of(rule: UpdateRule, names: Mapping[str, str]) -> Iterator[str]:
    """The lines of `_update`, and of `_schedule` where there is one.

    Args:
        rule: what is done.
        names: by hyperparameter, what the constructor's argument is called.
    """
    yield "def _update(self, p: torch.Tensor, group: dict[str, Any]) -> None:"
    for line in _update(rule, names):
        yield f"    {line}"
    if rule.schedule != "constant":
        yield ""
        yield "def _schedule(self, step: int, group: dict[str, Any]) -> float:"
        steps, final = names["schedule_steps"], names.get("final_fraction", "")
        yield f"    {_SCHEDULES[rule.schedule].format(steps=steps, final=final)}"


def _update(rule: UpdateRule, names: Mapping[str, str]) -> Iterator[str]:
    yield from _state(rule)
    scheduled = ' * self._schedule(state["step"], group)'
    yield 'lr = group["lr"]' + ("" if rule.schedule == "constant" else scheduled)
    if "vector_momentum" in names or "vector_weight_decay" in names:
        yield "is_vector = p.ndim < 2  # a bias, or the weights of a norm"
    yield "grad = p.grad"
    if rule.weight_decay != "none":
        yield f"decay = {_by_shape('weight_decay', names)}"
    if rule.weight_decay == "l2":
        yield "grad = grad.add(p, alpha=decay)"
    yield from _prepared(rule, names)
    yield "update = grad"
    if rule.momentum != "none":
        yield from _momentum(rule, names)
    if rule.scaling != "none":
        yield from _scaling(rule, names)
    if rule.step == "sign":
        yield "update = update.sign()"
    if rule.step == "trust_ratio":
        yield "length = p.norm()"
        yield "ratio = length / update.norm().clamp(min=1e-12)"
        yield "update = update * torch.where(length > 0, ratio, torch.ones_like(ratio))"
    if rule.weight_decay == "decoupled":
        yield "p.mul_(1 - lr * decay)"
    yield "p.add_(update, alpha=-lr)"


def _state(rule: UpdateRule) -> Iterator[str]:
    kept = {
        "momentum": rule.momentum != "none",
        "square": rule.scaling != "none",
        "largest": rule.scaling == "amsgrad",
    }
    yield "state = self.state[p]"
    yield "if not state:"
    yield '    state["step"] = 0'
    for name, is_there in kept.items():
        if is_there:
            yield f'    state["{name}"] = torch.zeros_like(p)'
    yield 'state["step"] += 1'


def _prepared(rule: UpdateRule, names: Mapping[str, str]) -> Iterator[str]:
    if rule.gradient == "centralized":
        yield "if grad.ndim > 1:"
        yield "    grad = grad - grad.mean(dim=tuple(range(1, grad.ndim)), keepdim=True)"
    if rule.gradient == "clipped":
        limit = names["max_norm"]
        yield f'ratio = group["{limit}"] / grad.norm().clamp(min=1e-12)'
        yield "grad = grad * ratio.clamp(max=1.0)"


def _momentum(rule: UpdateRule, names: Mapping[str, str]) -> Iterator[str]:
    """Directions are averaged where their length is used up afterwards, else they add up."""
    yield f"beta = {_by_shape('momentum', names)}"
    if rule.scaling == "none" and rule.step == "plain":
        yield 'state["momentum"].mul_(beta).add_(grad)'
        if rule.momentum == "nesterov":
            yield 'update = grad.add(state["momentum"], alpha=beta)'
        else:
            yield 'update = state["momentum"]'
        return
    yield 'state["momentum"].lerp_(grad, 1 - beta)'
    yield 'update = state["momentum"] / (1 - beta ** state["step"])'
    if rule.momentum == "nesterov":
        yield "update = update.lerp(grad, 1 - beta)"


def _scaling(rule: UpdateRule, names: Mapping[str, str]) -> Iterator[str]:
    if rule.scaling == "adagrad":
        yield 'state["square"].addcmul_(grad, grad)'
        yield 'size = state["square"].sqrt()'
    else:
        beta2 = names["beta2"]
        yield f'beta2 = group["{beta2}"]'
        yield 'state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)'
        kept = "square"
        if rule.scaling == "amsgrad":
            yield 'torch.maximum(state["largest"], state["square"], out=state["largest"])'
            kept = "largest"
        yield f'size = (state["{kept}"] / (1 - beta2 ** state["step"])).sqrt()'
    eps = names["eps"]
    yield f'update = update / (size + group["{eps}"])'


def _by_shape(role: str, names: Mapping[str, str]) -> str:
    """The value of a hyperparameter that vectors may have one of their own of."""
    value = f'group["{names[role]}"]'
    own = names.get(f"vector_{role}")
    return f'group["{own}"] if is_vector else {value}' if own else value
