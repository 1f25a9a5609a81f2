"""What changed between two trials, as a unified diff."""

import difflib

import yaml

from agents.research.experiments.trial import Trial


def difference(a: Trial, b: Trial) -> str:
    """What changed from `a` to `b`: config as YAML, then code; "" for nothing."""
    return _diff("config.yaml", a, b, _yaml(a), _yaml(b)) + _diff("model.py", a, b, a.code, b.code)


def _diff(name: str, a: Trial, b: Trial, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{a.id}/{name}", f"{b.id}/{name}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _yaml(trial: Trial) -> str:
    return yaml.safe_dump(trial.config, sort_keys=True, allow_unicode=True)
