"""URLs of a bus with a slip in them are refused with what was probably meant."""

import re

import pytest

from messaging.backends.urls import check_url, open_backend
from messaging.errors import BackendSetupError


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("/run/redis.sock", "did you mean unix:///run/redis.sock?"),
        ("localhost:6379", "did you mean redis://localhost:6379?"),
        ("db.example:6379/0", "did you mean redis://db.example:6379/0?"),
        ("redis+socket:///run/redis.sock", "did you mean unix:///path?"),
        ("embeded", "did you mean embedded?"),
        ("memmory://", "did you mean memory://?"),
        ("redis+sentinal://a/b", "did you mean redis+sentinel://?"),
        ("kafka://a", "redis+cluster://"),
        ("redis_cluster://:hu/sh:hush@a:1", "'***@a:1' is not a bus"),
        ("me:hush@db.example:6379", "'me' is not a bus"),
        (":hush@db.example:6379", "'***@db.example:6379' is not a bus"),
        ("redis://localhost?password=hush", "user and password stand before the host, or before"),
        ("unix:///run/redis.sock?user=me", "user and password stand before the host, or before"),
        ("redis://localhost?proflie=durable", "did you mean profile?"),
    ],
)
def test_a_slip_in_a_url_is_told_with_what_was_meant(url: str, meant: str) -> None:
    with pytest.raises(BackendSetupError, match=re.escape(meant)) as opened:
        open_backend(url, "guild")
    with pytest.raises(BackendSetupError, match=re.escape(meant)) as checked:
        check_url(url)

    assert "hush" not in f"{opened.value} {checked.value}"


@pytest.mark.parametrize("url", ["REDIS://localhost:1/0", "Memory://", "Unix:///run/Redis.sock"])
def test_a_scheme_may_be_written_in_capitals(url: str) -> None:
    open_backend(url, "guild")
    check_url(url)


@pytest.mark.parametrize(
    "url",
    ["redis://db.example", "rediss://:x@db.example?ssl_ca_certs=/none.pem", "sentinel://a,b/x"],
)
def test_what_depends_on_the_machine_is_not_checked_before(url: str) -> None:
    check_url(url)

    with pytest.raises(BackendSetupError):
        open_backend(url, "guild")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis:/localhost", "must begin with redis://"),
        ("redis://localhost:x", "is not the URL of a server"),
        ("redis://:hu#sh@localhost", "write / ? # and % in it as %2F %3F %23 and %25"),
        ("redis://:12#sh@localhost", "write / ? # and % in it as %2F %3F %23 and %25"),
        ("redis://:hush@localhost:x", "redis://:***@localhost:x is not the URL of a server: Port"),
        ("redis://:br[acket@localhost", "in a password write [ ] as %5B %5D"),
        ("redis://:br[hush]et@localhost", "in a password write [ ] as %5B %5D"),
        ("redis://[::1", "cannot be read: [ and ] stand around an IPv6 address"),
        (" redis://localhost", "must begin with redis://"),
    ],
)
def test_a_url_of_no_server_is_refused_before(url: str, told: str) -> None:
    """Not with another scheme either: with a blank before it, a URL became one of TLS."""
    with pytest.raises(BackendSetupError, match=re.escape(told)) as checked:
        check_url(url)
    with pytest.raises(BackendSetupError, match=re.escape(told)) as opened:
        open_backend(url, "guild")

    assert "hush" not in f"{checked.value} {opened.value}"


def test_a_path_with_an_at_sign_is_no_part_of_a_password() -> None:
    with pytest.raises(BackendSetupError, match="No such file or directory"):
        open_backend("rediss:///0?ssl_ca_certs=/home/me@work/ca.pem", "guild")
