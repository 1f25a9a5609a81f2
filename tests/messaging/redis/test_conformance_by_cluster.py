"""What every backend promises, kept by a node of a cluster."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.clusters import Cluster, running_cluster
from tests.messaging.conftest import Site
from tests.messaging.redis.elsewhere import ClusterSite
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
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def site(cluster: Cluster) -> AsyncIterator[Site]:
    site = ClusterSite(cluster)
    yield site
    await site.close()
