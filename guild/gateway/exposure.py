"""Where a gateway may listen: on this machine by itself, elsewhere with tokens and TLS."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from guild.errors import GuildError

DEFAULT_HOST = "127.0.0.1"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  how this machine reaches itself


class ExposureError(GuildError):
    """A place to listen, or what belongs to it, that cannot be used; nothing listens."""


@dataclass(frozen=True)
class Listening:
    """Where and how clients reach a server.

    Attributes:
        host: the address, or a name of it.
        port: 0 for any that is free.
        names: by which clients reach it, beside `localhost` and addresses.
        certificate: a PEM file, for TLS.
        private_key: its key, where it is not in the same file.
        allow_plain_http: no TLS beyond this machine: a proxy in front of it has it.
    """

    host: str = DEFAULT_HOST
    port: int = 0
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    allow_plain_http: bool = False

    @property
    def is_exposed(self) -> bool:
        """Whether others than this machine can reach it."""
        return not is_loopback(self.host)

    @property
    def all_names(self) -> tuple[str, ...]:
        return self.names if is_address(self.host) else (*self.names, self.host)

    def check(self, *, has_tokens: bool, remedy: str) -> None:
        """Pass if only callers with a token are let in, and nothing can be read on its way.

        Args:
            has_tokens: whether a caller needs one.
            remedy: how to give tokens.

        Raises:
            ExposureError: it would be open to others, or its certificate cannot be used.
        """
        if self.is_exposed and not has_tokens:
            raise ExposureError(f"{self.host} can be reached by others: {remedy}")
        if self.is_exposed and self.certificate is None and not self.allow_plain_http:
            raise ExposureError(
                f"{self.host} can be reached by others, who could read tokens and messages on "
                "their way: give --certificate FILE, or --plain-http where a proxy in front of it "
                "has TLS"
            )
        self.check_certificate()

    def check_certificate(self) -> None:
        """Load the certificate once, for a sentence that says what is wrong with it.

        Raises:
            ExposureError: it cannot be used.
        """
        if self.certificate is None:
            if self.private_key is not None:
                raise ExposureError("--private-key is of no use without --certificate")
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.private_key, password=lambda: "")
        except OSError as error:  # ssl's errors are ones
            raise ExposureError(
                f"--certificate {self.certificate} cannot be used: {error}; it is a PEM file with "
                "the certificate and its key without a passphrase, or give the key as --private-key"
            ) from error


def reachable(url: str) -> str:
    """The URL by which this machine reaches a server that listens everywhere."""
    host = urlsplit(url).hostname or ""
    here = _EVERYWHERE.get(host)
    if here is None:
        return url
    shown = f"[{host}]" if ":" in host else host
    return url.replace(shown, f"[{here}]" if ":" in here else here, 1)


def is_address(host: str) -> bool:
    """Whether `host` is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
