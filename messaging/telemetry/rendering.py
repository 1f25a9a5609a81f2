"""What a registry holds, as Prometheus reads it."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def render(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """The body of an answer to `GET /metrics`, and its content type.

    Args:
        registry: whose metrics; those of the process itself are in it where the host wants them.
        accept: the header of the request, by which the format is chosen; the usual one where the
            header makes no sense.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number
        encode, content_type = choose_encoder("")
    return encode(registry), content_type
