import os
import resource
import subprocess
import sys

import pytest

from messaging.backends.incarnation import has_surely_died, new_incarnation
from messaging.consuming.liveness import Watch

NAME = (
    "from messaging.backends.incarnation import new_incarnation;"
    "print(new_incarnation(), flush=True)"
)


@pytest.fixture
def child() -> subprocess.Popen[str]:
    """A process that prints the name of a consumer and then waits for its input to end."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{NAME}; input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_process_is_alive_until_it_is_killed(child: subprocess.Popen[str]) -> None:
    with child:
        assert child.stdout is not None
        incarnation = child.stdout.readline().strip()
        while_alive = has_surely_died(incarnation)
        child.kill()
        child.wait()

    assert not while_alive
    assert has_surely_died(incarnation)


def test_our_own_names_are_alive_and_each_is_another() -> None:
    one, other = new_incarnation(), new_incarnation()

    assert one != other
    assert not has_surely_died(one)


def test_a_later_process_with_the_same_number_is_not_taken_for_the_dead_one() -> None:
    where, pid, started, unique = new_incarnation().split(".")

    assert has_surely_died(f"{where}.{pid}.{int(started) + 1}.{unique}")


def test_who_cannot_look_declares_nobody_dead(child: subprocess.Popen[str]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with child:
        assert child.stdout is not None
        incarnation = child.stdout.readline().strip()
        assert not has_surely_died(incarnation)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                os.open(os.devnull, os.O_RDONLY)
            while_blind = has_surely_died(incarnation)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        child.kill()

    assert not while_blind


@pytest.mark.parametrize("name", ["", "abc", "a.b.c.d", "0123456789ab.1.2.3", "....", "-1"])
def test_nobody_is_declared_dead_on_another_machine_or_under_another_kind_of_name(
    name: str,
) -> None:
    assert not has_surely_died(name)


def test_the_surely_dead_are_taken_over_at_the_first_look() -> None:
    where, pid, started, unique = new_incarnation().split(".")
    dead = f"{where}.{pid}.{int(started) + 1}.{unique}"

    assert Watch("me", lease_s=12).look({"me": 1, dead: 7, "alive": 7}, now_s=0.0) == [dead]
