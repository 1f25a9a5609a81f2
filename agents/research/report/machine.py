"""Where a run took place."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agents.research.report.blocks import Section, Table
from agents.research.report.content import Machine
from agents.research.report.wording import size


def this_machine() -> Machine:
    """What is known without loading anything heavy."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=_installed("torch"),
    )


def machine_section(machine: Machine) -> Section:
    rows = [
        ["processor", machine.processor],
        ["cores", str(machine.cores)],
        ["memory", size(machine.memory_bytes)],
        ["system", machine.system],
        ["Python", machine.python],
        ["torch", machine.torch],
    ]
    return Section("Machine", [Table(["what", "value"], rows)])


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
