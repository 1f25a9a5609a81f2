"""What changed between two trials: as a unified diff, and in a few words."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

import yaml

from agents.research.experiments.trial import Trial

_NOTHING = object()
_SHOWN_CHARS = 80


def difference(a: Trial, b: Trial) -> str:
    """What changed from `a` to `b`: config as YAML, then code; "" for nothing."""
    return _diff("config.yaml", a, b, _yaml(a), _yaml(b)) + _diff("model.py", a, b, a.code, b.code)


def changes(a: Trial, b: Trial) -> list[str]:
    """Each key of the config that differs, as `optimizer.lr 0.1 → 0.01`, and `code` last.

    A dot that belongs to a key is written with a backslash.
    """
    old, new = dict(_leaves(a.config)), dict(_leaves(b.config))
    told = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, _NOTHING), new.get(key, _NOTHING)
        if before == after and type(before) is type(after):
            continue
        if before is _NOTHING:
            told.append(f"{key} {_shown(after)}")
        elif after is _NOTHING:
            told.append(f"without {key}")
        else:
            told.append(f"{key} {_shown(before)} → {_shown(after)}")
    return told if a.code == b.code else [*told, "code"]


def _leaves(config: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in config.items():
        path = above + key.replace(".", r"\.")
        if isinstance(value, dict) and value:
            leaves += _leaves(value, f"{path}.")
        else:
            leaves.append((path, value))
    return leaves


def _shown(value: Any) -> str:
    """A text as it is, unless it could be taken for something else: it is empty, or `1`."""
    if isinstance(value, float):
        return f"{value:.4g}"
    is_plain = isinstance(value, str) and value.strip() and not _is_json(value)
    shown = value if is_plain else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[: _SHOWN_CHARS - 1]}…"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _diff(name: str, a: Trial, b: Trial, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{a.id}/{name}", f"{b.id}/{name}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _yaml(trial: Trial) -> str:
    return yaml.safe_dump(trial.config, sort_keys=True, allow_unicode=True)
