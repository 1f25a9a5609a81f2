"""Trials that differ on paper only: in comments, layout, docstrings or the names of classes."""

import ast
import json
from collections.abc import Iterable

from agents.research.experiments.trial import Trial

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def duplicates(trials: Iterable[Trial]) -> list[tuple[Trial, ...]]:
    """Groups of trials of one kind and seed that do the same under different fingerprints."""
    groups: dict[tuple[str, int, str], list[Trial]] = {}
    for trial in trials:
        key = (trial.kind, trial.seed, meaning_of(trial))
        groups.setdefault(key, []).append(trial)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def meaning_of(trial: Trial) -> str:
    """What decides the outcome, in a form that is the same for the same.

    It holds for one version of Python: compare it, do not keep it.
    """
    try:
        tree = ast.parse(trial.code)
        names = _rename_classes(tree)
        code = ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        names, code = {}, trial.code
    config = {
        key: names.get(value, value) if isinstance(value, str) else value
        for key, value in trial.config.items()
    }
    return json.dumps([config, code], sort_keys=True)


def _rename_classes(tree: ast.Module) -> dict[str, str]:
    """Number the classes of a module in place, drop docstrings; the new names by the old ones."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    names = {node.name: f"Class{index}" for index, node in enumerate(classes)}
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.ClassDef):
            node.name = names.get(node.name, node.name)
        elif isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return names
