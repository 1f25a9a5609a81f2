"""The stores that the bus is tested on, and a handler that waits."""

import pytest

from tests.guild.operations.desk import Hold, Holding
from tests.messaging.conftest import site, url_of

__all__ = ["site", "url_of"]


@pytest.fixture
def hold() -> Hold:
    """Of the agents `Holding` that the test runs."""
    Holding.hold = Hold()
    return Holding.hold
