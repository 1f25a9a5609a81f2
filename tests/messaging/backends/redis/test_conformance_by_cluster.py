"""What every backend promises, kept by a node of a cluster."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.clusters import Cluster, running_cluster
from tests.messaging.backends.redis.elsewhere import ClusterSite
from tests.messaging.backends.redis.every_promise import *  # noqa: F403 - the same tests, here
from tests.messaging.conftest import Site

pytestmark = pytest.mark.long  # a cluster's own faults are in test_cluster.py


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def site(cluster: Cluster) -> AsyncIterator[Site]:
    site = ClusterSite(cluster)
    yield site
    await site.close()
