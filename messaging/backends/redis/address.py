"""From a URL to whoever knows where the server is now."""

from messaging.backends.redis.cluster import ClusterAddress
from messaging.backends.redis.endpoint import FixedAddress
from messaging.backends.redis.link import Address
from messaging.backends.redis.sentinel import SentinelAddress


def address_of(url: str, guild_id: str) -> Address:
    """The address that `url` names, for the keys of one guild.

    Raises:
        BackendSetupError: see `messaging.backends.redis.endpoint.endpoint_of`.
    """
    scheme = url.partition(":")[0]
    if scheme.endswith("sentinel"):
        return SentinelAddress(url)
    if scheme.endswith("cluster"):
        return ClusterAddress(url, guild_id)
    return FixedAddress(url)
