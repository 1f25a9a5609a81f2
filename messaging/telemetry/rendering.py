"""What a registry holds, as Prometheus reads it."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def render(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """The body of an answer to `GET /metrics`, and its content type.

    Args:
        registry: whose metrics; those of the process itself are in it where the host wants them.
        accept: the header of the request, by which the format is chosen.
    """
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
