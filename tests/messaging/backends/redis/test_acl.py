"""A guild's user may do what the bus needs, and nothing to others or to the server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from messaging.backends.redis.admin.acl import rules_for, write_acl_file
from messaging.errors import BackendError, BackendSetupError
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.backends.redis.elsewhere import AclServer, running_acl_server
from tests.messaging.notes import note

FORBIDDEN = [
    "SCAN 0",
    "KEYS *",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET appendonly no",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "FUNCTION FLUSH",
    "EVAL return 0",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "MONITOR",
    "SHUTDOWN",
    "ACL LIST",
    "REPLICAOF NO ONE",
    "PUBSUB CHANNELS",
    "RANDOMKEY",
    "DBSIZE",
    "SWAPDB 0 1",
    "MIGRATE h 1 k 0 1",
    "GET {other}:registry",
    "XADD {other}:t:notes * h x",
    "DEL {other}:registry",
    "HGETALL {other}:groups",
    "RENAME {mine}:a {other}:a",
    "PUBLISH {other}:w x",
    "GET plain",
]


@pytest.fixture(scope="module")
def acl_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclServer]:
    with running_acl_server(tmp_path_factory.mktemp("acl")) as server:
        yield server


@pytest.fixture
async def guild(acl_server: AclServer) -> AsyncIterator[Guild]:
    guild = Guild("")
    guild.url = acl_server.admit(guild.guild_id)
    yield guild
    await guild.close()


async def test_the_start_up_checks_are_permitted(guild: Guild) -> None:
    backend = await guild.open(profile="standard")

    assert backend.profile == "standard"
    assert guild.events() == []


@pytest.mark.parametrize("words", FORBIDDEN)
async def test_what_the_bus_does_not_need_is_forbidden(guild: Guild, words: str) -> None:
    backend = await guild.open()

    with pytest.raises(BackendSetupError, match=r"NOPERM.*guildbus acl"):
        await command(backend, *words.replace("{mine}", f"{{{guild.guild_id}}}").split())


async def test_a_script_cannot_reach_another_guild_either(guild: Guild) -> None:
    backend = await guild.open()
    thief = "return redis.call('HGETALL', '{other}:groups')"
    sha = await command(backend, "SCRIPT", "LOAD", thief)

    with pytest.raises(BackendError, match=r"permission|NOPERM|can't access"):
        await command(backend, "EVALSHA", sha, 0)


async def test_one_guild_cannot_come_as_another(guild: Guild, acl_server: AclServer) -> None:
    guild.guild_id = "somebody-else"

    with pytest.raises(BackendSetupError, match=r"NOPERM.*guildbus acl"):
        await guild.open()


async def test_nobody_without_a_name_is_let_in(guild: Guild, acl_server: AclServer) -> None:
    with pytest.raises(BackendSetupError, match=r"NOAUTH|user, password"):
        await guild.open(acl_server.server.url)


async def test_a_wrong_password_is_named_and_not_repeated(
    guild: Guild, acl_server: AclServer
) -> None:
    url = acl_server.server.url.replace("//", f"//{guild.guild_id}:wrong-secret@")

    with pytest.raises(BackendSetupError, match="check user, password") as refused:
        await guild.open(url)
    assert "wrong-secret" not in str(refused.value)


async def test_rights_that_are_taken_away_are_an_error_and_no_hang(
    guild: Guild, acl_server: AclServer
) -> None:
    backend = await guild.open()
    await backend.append([note("before")])
    acl_server.admin.acl_setuser(guild.guild_id, commands=["-evalsha"])

    with pytest.raises(BackendSetupError, match="NOPERM"):
        await backend.append([note("after")])


def test_a_new_file_shuts_everybody_else_out_and_names_an_admin(tmp_path: Path) -> None:
    file = tmp_path / "users.acl"

    granted = write_acl_file(file, "writers")

    assert [user for user, _ in granted] == ["admin", "writers"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "user default off" in file.read_text()
    assert not any(password in file.read_text() for _, password in granted)


def test_others_and_the_password_stay_when_the_file_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user default off\nuser ops on >x ~* +@all\nuser writers on #00 ~old +@all\n")
    file.chmod(0o640)

    assert write_acl_file(file, "writers") == []

    default, ops, writers = file.read_text().splitlines()
    assert (default, ops) == ("user default off", "user ops on >x ~* +@all")
    assert writers == f"user writers on #00 {rules_for('writers')}"
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_password_that_is_given_replaces_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    write_acl_file(file, "writers")
    before = file.read_text()

    assert write_acl_file(file, "writers", password="mine") == []

    assert len(file.read_text().splitlines()) == len(before.splitlines())
    assert file.read_text() != before


@pytest.mark.parametrize("name", ["two words", "admin", "default"])
def test_a_name_that_cannot_be_a_user_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackendSetupError, match="cannot be the user"):
        write_acl_file(tmp_path / "users.acl", "g", user=name)


def test_an_id_with_wild_cards_opens_no_door() -> None:
    assert "~{a\\*b}:*" in rules_for("a*b")
    with pytest.raises(BackendSetupError, match="does not fit"):
        rules_for("a ~* +@all")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendSetupError, match=r"none/users\.acl: No such file"):
        write_acl_file(tmp_path / "none" / "users.acl", "g")
