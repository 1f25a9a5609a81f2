"""`guildbus validate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guild.cli.exit_codes import INVALID, OK
from guild.cli.opening import read_specs
from guild.cli.output import Output
from guild.errors import SpecError
from guild.plan import Plan


def validate_specs(paths: Sequence[Path], *, allow: Sequence[str], as_json: bool) -> int:
    """Check each file; problems go to stderr, one a line, or to stdout as JSON."""
    output = Output(as_json=as_json)
    results = read_specs(paths, allow)
    for path, result in results:
        if as_json:
            output.json(_document(path, result))
        elif isinstance(result, SpecError):
            output.error(str(result))
        else:
            output.text(f"{path}: ok, {_size(result)}")
            for warning in result.warnings:
                output.note(f"warning: {warning}")
    return INVALID if any(isinstance(result, SpecError) for _, result in results) else OK


def _document(path: Path, result: Plan | SpecError) -> dict[str, Any]:
    if isinstance(result, SpecError):
        problems = [problem._asdict() for problem in result.problems]
        return {"file": str(path), "ok": False, "problems": problems}
    return {"file": str(path), "ok": True, "guild": result.spec.id, "warnings": result.warnings}


def _size(plan: Plan) -> str:
    agents, routes = len(plan.spec.agents), len(plan.spec.routes)
    return f"{agents} agent{'s' * (agents != 1)}, {routes} route{'s' * (routes != 1)}"
