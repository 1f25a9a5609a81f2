"""What every backend promises, kept by a user who has no more rights than the ACL file gives."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.messaging.conftest import Site
from tests.messaging.redis.elsewhere import AclServer, AclSite, running_acl_server
from tests.messaging.test_backend_conformance_commit import *  # noqa: F403 - the same tests, here
from tests.messaging.test_backend_conformance_dead_letters import *  # noqa: F403 - as above
from tests.messaging.test_backend_conformance_delays import *  # noqa: F403 - as above
from tests.messaging.test_backend_conformance_delivery import *  # noqa: F403 - as above
from tests.messaging.test_backend_conformance_limits import *  # noqa: F403 - as above
from tests.messaging.test_backend_conformance_observers import *  # noqa: F403 - as above
from tests.messaging.test_backend_conformance_state import *  # noqa: F403 - as above
from tests.messaging.test_backend_conformance_takeover import *  # noqa: F403 - as above
from tests.messaging.test_request import *  # noqa: F403 - as above


@pytest.fixture(scope="module")
def acl_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclServer]:
    with running_acl_server(tmp_path_factory.mktemp("acl")) as server:
        yield server


@pytest.fixture
async def site(acl_server: AclServer) -> AsyncIterator[Site]:
    site = AclSite(acl_server)
    yield site
    await site.close()
