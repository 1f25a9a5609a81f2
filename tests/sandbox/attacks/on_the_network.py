"""Attacks over the network: to reach who listens on this machine, or beyond."""

import socket
from functools import partial
from pathlib import Path

from tests.sandbox.attacks.attack import Target, Unsupported, add_attack, attack

ADDRESSES = {"loopback": "127.0.0.1", "all_of_loopback": "127.7.7.7", "metadata": "169.254.169.254"}


def _send(family: int, kind: int, address: object, t: Target) -> None:
    with socket.socket(family, kind) as connection:
        connection.settimeout(2)
        connection.connect(address)  # type: ignore[arg-type]  # a path, or a host and a port
        connection.sendall(t.name.encode() + b"\n")


def _send_to(host: str, kind: int, t: Target) -> None:
    _send(socket.AF_INET, kind, (host, t.port), t)


for _name, _host in ADDRESSES.items():
    add_attack(f"reach_{_name}", partial(_send_to, _host, socket.SOCK_STREAM))
    add_attack(f"send_to_{_name}", partial(_send_to, _host, socket.SOCK_DGRAM))


@attack()
def reach_loopback_of_ipv6(t: Target) -> None:
    _send(socket.AF_INET6, socket.SOCK_STREAM, ("::1", t.port), t)


@attack()
def reach_a_socket_by_its_path(t: Target) -> None:
    _send(socket.AF_UNIX, socket.SOCK_STREAM, t.unix, t)


@attack()
def reach_a_socket_by_a_link(t: Target) -> None:
    Path(t.name).symlink_to(t.unix)
    _send(socket.AF_UNIX, socket.SOCK_STREAM, t.name, t)


@attack()
def reach_a_socket_without_a_path(t: Target) -> None:
    _send(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + t.abstract, t)


@attack()
def reach_the_guild_s_server(t: Target) -> None:
    """In the workspace, where the embedded server listens by default."""
    _send(socket.AF_UNIX, socket.SOCK_STREAM, ".guildbus/server.sock", t)


def _have(family: int, kind: int, protocol: int, t: Target) -> bool:
    try:
        socket.socket(family, kind, protocol).close()
    except OSError as error:
        if error.errno == 97 and _is_missing(family):  # EAFNOSUPPORT
            raise Unsupported(f"sockets of family {family}") from error
        raise
    return True


def _is_missing(family: int) -> bool:
    return "Seccomp:\t0" in Path("/proc/self/status").read_text()


for _name, _socket in {
    "packets": (socket.AF_PACKET, socket.SOCK_RAW, 3),
    "raw": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "ciphers": (38, socket.SOCK_SEQPACKET, 0),
    "of_virtual_machines": (40, socket.SOCK_STREAM, 0),
    "of_bluetooth": (31, socket.SOCK_RAW, 1),
}.items():
    add_attack(f"have_sockets_{_name}", partial(_have, *_socket))
