"""`guildbus validate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guild.checking.plan import Plan
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import INVALID, OK
from guild.errors import SpecError


async def validate_specs(call: Call, paths: Sequence[Path]) -> int:
    """Check each file; problems go to stderr, one a line, or to stdout as JSON."""
    code, output = OK, call.output
    for path in paths:
        try:
            plan = call.plan_of(path)
        except SpecError as error:
            code = INVALID
            if output.as_json:
                output.json(_problems(path, error))
            else:
                output.error(str(error))
            continue
        if output.as_json:
            output.json(_verdict(path, plan))
            continue
        output.text(f"{path}: ok, {_size(plan)}")
        for warning in plan.warnings:
            output.note(f"warning: {warning}")
    return code


def _problems(path: Path, error: SpecError) -> dict[str, Any]:
    problems = [problem._asdict() for problem in error.problems]
    return {"file": str(path), "ok": False, "problems": problems}


def _verdict(path: Path, plan: Plan) -> dict[str, Any]:
    return {"file": str(path), "ok": True, "guild": plan.spec.id, "warnings": plan.warnings}


def _size(plan: Plan) -> str:
    agents, routes = len(plan.spec.agents), len(plan.spec.routes)
    return f"{agents} agent{'s' * (agents != 1)}, {routes} route{'s' * (routes != 1)}"
