"""`guildbus acl` writes a file that a server starts with."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from guild.cli.app import app
from guild.cli.calling.exit_codes import OK, USAGE
from messaging.bus import connect
from tests.messaging.buses import Told, lying_in
from tests.servers import running_redis


def test_the_user_it_makes_may_work_as_the_guild_on_a_server_with_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "users.acl"

    result = CliRunner().invoke(app, ["acl", "hello", "--file", str(file), "--json"])

    assert result.exit_code == OK, result.stderr
    granted = [json.loads(line) for line in result.stdout.splitlines()]
    passwords = {line["user"]: line["password"] for line in granted}
    assert set(passwords) == {"admin", "hello"}
    with running_redis(tmp_path, "--aclfile", str(file)) as server:
        url = server.url.replace("//", f"//hello:{passwords['hello']}@")
        asyncio.run(_talk(url))


def test_a_password_of_ones_own_is_used_and_not_shown(tmp_path: Path) -> None:
    file, secret = tmp_path / "users.acl", tmp_path / "secret"
    secret.write_text("mine-alone\n")
    words = ["acl", "hello", "--file", str(file), "--user", "greeter"]

    result = CliRunner().invoke(app, [*words, "--password-file", str(secret)])

    assert result.exit_code == OK
    assert "mine-alone" not in result.output + file.read_text()
    assert "user greeter on #" in file.read_text()


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    words = ["acl", "hello", "--file"]
    unwritable = [*words, str(tmp_path / "none" / "users.acl")]
    unreadable = [*words, str(tmp_path / "users.acl"), "--password-file", str(tmp_path / "none")]

    first, second = (CliRunner().invoke(app, given) for given in (unwritable, unreadable))

    assert (first.exit_code, second.exit_code) == (USAGE, USAGE)
    assert "users.acl" in first.stderr
    assert "none" in second.stderr


async def _talk(url: str) -> None:
    async with connect(url, "hello") as bus:
        await bus.publish("notes", Told(text="inside"))
        assert len(await lying_in(bus, "notes")) == 1
