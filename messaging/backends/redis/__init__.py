"""The bus on Redis Streams."""

from messaging.backends.redis.backend import RedisBackend
from messaging.backends.redis.server import Options

__all__ = ["Options", "RedisBackend"]
