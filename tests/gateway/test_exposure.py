"""Where a gateway may listen."""

from pathlib import Path

import pytest

from guild.cli.calling.exit_codes import UsageError
from guild.cli.commands.http import Http
from guild.gateway.exposure import ExposureError, Listening, reachable


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_this_machine_needs_neither_tokens_nor_tls(host: str) -> None:
    Listening(host).check(has_tokens=False, remedy="")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.x"])
def test_beyond_loopback_tokens_and_tls_are_needed(host: str) -> None:
    with pytest.raises(ExposureError, match="can be reached by others: give --tokens FILE"):
        Listening(host).check(has_tokens=False, remedy="give --tokens FILE")
    with pytest.raises(ExposureError, match="give --certificate FILE, or --plain-http"):
        Listening(host).check(has_tokens=True, remedy="")
    Listening(host, allow_plain_http=True).check(has_tokens=True, remedy="")


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")

    for file in (tmp_path / "no.pem", tmp_path / "none.pem"):
        with pytest.raises(ExposureError, match=r"cannot be used: .*; it is a PEM file"):
            Listening(certificate=file).check(has_tokens=True, remedy="")
    with pytest.raises(ExposureError, match="of no use without --certificate"):
        Listening(private_key=tmp_path / "no.pem").check(has_tokens=True, remedy="")


@pytest.mark.parametrize(
    ("word", "host", "port"),
    [
        ("8700", "127.0.0.1", 8700),
        (":8700", "127.0.0.1", 8700),
        ("0", "127.0.0.1", 0),
        ("localhost:1", "localhost", 1),
        ("[::1]:1", "::1", 1),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
    ],
)
def test_a_place_is_a_port_and_perhaps_a_host(word: str, host: str, port: int) -> None:
    place = Http(word).place(is_request=False)

    assert place is not None
    assert (place.host, place.port) == (host, port)


@pytest.mark.parametrize(
    "word", ["", "x", "127.0.0.1", "1:", "-1", "65536", "::1", "1.5", "\u0661"]
)
def test_what_is_no_place_is_told(word: str) -> None:
    with pytest.raises(UsageError, match="--http wants"):
        Http(word).place(is_request=False)


def test_the_url_is_one_by_which_this_machine_reaches_it() -> None:
    assert reachable("http://0.0.0.0:1/v1") == "http://127.0.0.1:1/v1"
    assert reachable("https://[::]:1") == "https://[::1]:1"
    assert reachable("http://example.org:1") == "http://example.org:1"
