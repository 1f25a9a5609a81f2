"""What holds for every test."""

import gc
import os
import sys
from collections.abc import Generator

import pytest

# There are more processes than cores, and threads of OpenMP wait by spinning: two in each process
# take three times the processor time of one. Whatever a test starts inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Images of containers often forbid bytecode. Some hundred processes start here, and each would
# compile all that it imports, which is a third of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting makes some million objects that live as long as the run, in each worker. To look
    through them for garbage takes a fifth of its time, and some of each test's afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """structlog.testing.capture_logs leaves structlog configured, to print all that comes later."""
    was_configured = _is_structlog_configured()
    try:
        return (yield)
    finally:
        if _is_structlog_configured() and not was_configured:
            sys.modules["structlog"].reset_defaults()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tells `.ci/again`, since a run that broke off has not tried every test."""
    cache = getattr(session.config, "cache", None)
    if cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("exitstatus", int(exitstatus))


def _is_structlog_configured() -> bool:
    structlog = sys.modules.get("structlog")
    return structlog is not None and structlog.is_configured()
