"""How long rows wait, and one server for those that do it no harm."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.reliability.workers.orders import BUS
from tests.servers import running_redis

RECOVERY_S = 5.0
SHORT_LEASE_S = 1.0
PATIENCE_S = 30.0
MUTANT_PATIENCE_S = 3.0  # somewhat more than a lease


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mutants wait for what never comes, so they are run at length."""
    for item in items:
        called = getattr(item, "callspec", None)
        if called is not None and item.path.parent == Path(__file__).parent:
            kind = called.params.get("kind", BUS)
            if called.params.get("is_mutant") or (isinstance(kind, str) and kind != BUS):
                item.add_marker(pytest.mark.long)


def patience_s(kind: str) -> float:
    """How long to wait for what a mutant may never do."""
    return PATIENCE_S if kind == BUS else MUTANT_PATIENCE_S


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("matrix")) as server:
        yield server.url
