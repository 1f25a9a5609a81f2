"""From a URL to what knows where the server is now."""

from messaging.backends.redis.connection.cluster import ClusterAddress
from messaging.backends.redis.connection.connection import Address
from messaging.backends.redis.connection.endpoint import PARAMETERS, FixedAddress
from messaging.backends.redis.connection.sentinel import PARAMETERS as SENTINEL_PARAMETERS
from messaging.backends.redis.connection.sentinel import SentinelAddress


def parameters_of(url: str) -> frozenset[str]:
    """What may stand behind the question mark of `url` besides options of the bus."""
    own = SENTINEL_PARAMETERS if url.partition(":")[0].endswith("sentinel") else frozenset()
    return PARAMETERS | own


def address_of(url: str, guild_id: str) -> Address:
    """The address that `url` names, for the keys of one guild.

    Raises:
        BackendSetupError: see `messaging.backends.redis.connection.endpoint.endpoint_of`.
    """
    scheme = url.partition(":")[0]
    if scheme.endswith("sentinel"):
        return SentinelAddress(url)
    if scheme.endswith("cluster"):
        return ClusterAddress(url, guild_id)
    return FixedAddress(url)
