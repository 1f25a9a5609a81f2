"""URLs that name several hosts: all of Sentinel's, or some of a cluster."""

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from messaging.backends.redis.connection.endpoint import Endpoint, endpoint_of, redacted
from messaging.errors import BackendSetupError


class Host(NamedTuple):
    """One `host:port` of a URL."""

    name: str
    port: int


class ManyHosts:
    """What a URL with several hosts says; makes the endpoint of any host in the same manner.

    Raises:
        BackendSetupError: no host, or an impossible port.
    """

    def __init__(self, url: str, default_port: int) -> None:
        parts = urlsplit(url)
        user_info, _, hosts = parts.netloc.rpartition("@")
        self.url = redacted(url)
        self.path = tuple(part for part in parts.path.split("/") if part)
        self.parameters = dict(parse_qsl(parts.query))
        self.hosts = [_host(text, default_port, self.url) for text in hosts.split(",") if text]
        self._scheme = "rediss" if parts.scheme.startswith("rediss") else "redis"
        self._user_info = user_info
        if not self.hosts:
            raise BackendSetupError(f"{self.url} names no host")

    def take(self, name: str) -> str:
        """A parameter that is ours alone, and does not go to any server."""
        return self.parameters.pop(name, "")

    def endpoint(self, host: Host, database: str = "0") -> Endpoint:
        """How to reach `host` with the user, password and TLS that the URL names."""
        return self._endpoint(host, self._user_info, self.parameters, database)

    def endpoint_as(self, host: Host, user: str, password: str) -> Endpoint:
        """As `endpoint`, with other credentials or none; not judged by their lack."""
        user_info = f"{quote(user, safe='')}:{quote(password, safe='')}" if password else ""
        return self._endpoint(
            host, user_info, {**self.parameters, "allow_no_password": "true"}, "0"
        )

    def _endpoint(
        self, host: Host, user_info: str, parameters: dict[str, str], database: str
    ) -> Endpoint:
        name = f"[{host.name}]" if ":" in host.name else host.name
        user = f"{user_info}@" if user_info else ""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return endpoint_of(f"{self._scheme}://{user}{name}:{host.port}/{database}{query}")


def _host(text: str, default_port: int, url: str) -> Host:
    parts = urlsplit(f"//{text}")
    try:
        return Host(parts.hostname or "", parts.port or default_port)
    except ValueError as error:
        raise BackendSetupError(f"{url}: {text} is not a host and port: {error}") from error
