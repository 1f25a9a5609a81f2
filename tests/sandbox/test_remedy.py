"""A machine that has no fence is told what it lacks, as commands."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.sandbox.fence.remedy import remedy

ROOT = Path(__file__).parents[2]
USERNS = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"


@pytest.fixture(autouse=True)
def an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def a_machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_on_ubuntu_a_profile_lets_bubblewrap_make_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted by AppArmor 4.1's parser; its children keep what they hold, as it is unconfined."""
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/bwrap")

    steps = remedy(a_machine(tmp_path, {USERNS: "1"})).partition("namespaces: ")[2].split(" && ")

    said = shlex.split(steps[0].partition(" | ")[0])
    assert said == [
        "echo",
        'abi <abi/4.0>, profile guildbus-bwrap "/usr/bin/bwrap" flags=(unconfined) { userns, }',
    ]
    assert steps[0].endswith("| sudo tee /etc/apparmor.d/guildbus-bwrap")
    assert steps[1].startswith("sudo apparmor_parser -r /etc/apparmor.d/guildbus-bwrap.")


def test_where_bubblewrap_is_missing_it_is_installed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    said = remedy(a_machine(tmp_path, {USERNS: "1"}))

    assert "sudo apt install bubblewrap && echo" in said
    assert '"/usr/bin/bwrap" flags' in said


def test_a_profile_that_takes_capabilities_from_what_bubblewrap_starts_goes_first(
    tmp_path: Path,
) -> None:
    restricting = "etc/apparmor.d/bwrap-userns-restrict"

    said = remedy(a_machine(tmp_path, {USERNS: "1", restricting: "profile bwrap"}))

    assert f"sudo apparmor_parser -R {tmp_path / restricting} && echo" in said


@pytest.mark.parametrize(
    ("setting", "value", "command"),
    [
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    ],
)
def test_what_is_switched_off_is_named(
    tmp_path: Path, setting: str, value: str, command: str
) -> None:
    said = remedy(a_machine(tmp_path, {f"proc/sys/{setting}": value}))

    assert command in said
    assert "apparmor" not in said


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_container_is_told_its_options(
    tmp_path: Path, mark: str, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)

    said = remedy(a_machine(tmp_path, {mark: ""}))

    assert "--security-opt seccomp=unconfined" in said
    assert ("--cap-add SYS_ADMIN" in said) == (uid == 0)


def test_root_needs_no_namespaces_of_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert "apparmor" not in remedy(a_machine(tmp_path, {USERNS: "1"}))


def test_how_to_go_without_is_always_said(tmp_path: Path) -> None:
    said = remedy(tmp_path)

    assert "install bubblewrap" in said
    assert "'fence: none'" in said


def test_where_no_user_may_make_namespaces_the_doctor_names_the_switch() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.sandbox.without_namespaces"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot be imitated" in done.stderr:
        pytest.skip(done.stderr.strip())

    state, text = done.stdout.strip().split("\n", 1)
    assert state == "missing"
    assert "No space left on device" in text  # what the kernel says of that limit
    assert "sudo sysctl -w user.max_user_namespaces=10000" in text
    assert "'fence: none'" in text
