"""One server for the rows that do it no harm."""

from collections.abc import Iterator

import pytest

from tests.servers import running_redis


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("matrix")) as server:
        yield server.url
