"""What every backend promises, kept by a user who has no more rights than the ACL file gives."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.messaging.backends.redis.elsewhere import AclServer, AclSite, running_acl_server
from tests.messaging.backends.redis.every_promise import *  # noqa: F403 - the same tests, here
from tests.messaging.conftest import Site


@pytest.fixture(scope="module")
def acl_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclServer]:
    with running_acl_server(tmp_path_factory.mktemp("acl")) as server:
        yield server


@pytest.fixture
async def site(acl_server: AclServer) -> AsyncIterator[Site]:
    site = AclSite(acl_server)
    yield site
    await site.close()
