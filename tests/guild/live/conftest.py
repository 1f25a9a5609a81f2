"""The stores that the bus is tested on."""

from tests.messaging.conftest import site, url_of

__all__ = ["site", "url_of"]
