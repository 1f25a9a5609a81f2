"""A guild on servers of all kinds, run and talked to by its spec and the command line alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.backends.redis.connection.cluster import ClusterAddress
from tests.certificates import Authority
from tests.cli.conftest import ROOT, SPEC, Run, Start, until
from tests.clusters import running_cluster
from tests.sentinels import PASSWORD, running_sentinels
from tests.sentinels import until as until_so
from tests.servers import RedisServer, free_port, running_redis


def spec_on(bus: str, folder: Path) -> Path:
    path = folder / "crew.yaml"
    path.write_text(SPEC.format(bus=f"'{bus}'"))
    return path


def at_work(start: Start, spec: Path) -> str:
    """Run the guild; what it says when it runs."""
    guild = start("run", spec, "--allow", "tests.cli", cwd=ROOT)
    return until(guild.stderr, "is running")[-1]


def works(run: Run, spec: Path) -> bool:
    """Whether the guild answers, and every question about it is answered."""
    outcome = run("request", spec, "crew.work", "count:=7", "--json", "--timeout", "60")
    assert outcome.code == 0, outcome.err
    assert run("request", spec, "crew.break", "why=glass").code == 1
    (letter, *_) = run("dead-letters", "list", spec, "--json").documents()
    assert run("dead-letters", "drop", spec, letter["id"], "--reason", "seen").code == 0
    (agent,) = run("agents", spec, "--json").documents()
    assert agent["running"] >= 1
    return outcome.documents()[0]["data"] == {"count": 7}


def test_a_guild_behind_sentinels_goes_on_after_a_failover(
    run: Run, start: Start, tmp_path: Path
) -> None:
    with running_sentinels(tmp_path) as site:
        spec = spec_on(site.url, tmp_path)
        assert PASSWORD not in at_work(start, spec)
        assert works(run, spec)
        site.replicate()

        site.primary.kill()
        until_so(site.is_over)

        assert works(run, spec)


def test_a_guild_on_a_cluster_goes_on_where_its_slot_has_moved(
    run: Run, start: Start, tmp_path: Path
) -> None:
    with running_cluster(tmp_path) as cluster:
        spec = spec_on(cluster.url, tmp_path)
        at_work(start, spec)
        assert works(run, spec)
        slot = ClusterAddress(cluster.url, "crew").slot
        source = cluster.owner_of(slot)
        target = next(node for node in cluster.nodes if node is not source)

        cluster.open_way(slot, source, target)
        while cluster.move_keys(slot, source, target, 100):
            pass
        cluster.close_way(slot, target)

        assert works(run, spec)
        assert cluster.ask(target, "CLUSTER", "COUNTKEYSINSLOT", slot) > 0


@pytest.fixture
def tls_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that wants certificates, with ours in it."""
    authority, port = Authority(tmp_path), free_port()
    theirs, ours = authority.issue("server", "127.0.0.1"), authority.issue("client")
    options = ("--tls-port", str(port), "--tls-ca-cert-file", str(authority.file))
    options += ("--tls-cert-file", str(theirs.file), "--tls-key-file", str(theirs.key_file))
    with running_redis(tmp_path, *options, "--tls-auth-clients", "yes"):
        trust = f"ssl_ca_certs={authority.file}"
        shown = f"ssl_certfile={ours.file}&ssl_keyfile={ours.key_file}"
        yield f"rediss://127.0.0.1:{port}/0?{trust}&{shown}"


def test_a_guild_speaks_tls_and_shows_its_certificate(
    run: Run, start: Start, tmp_path: Path, tls_url: str
) -> None:
    spec = spec_on(tls_url, tmp_path)
    at_work(start, spec)

    assert works(run, spec)

    nameless = run("agents", spec, "--bus", tls_url.partition("&")[0])
    assert nameless.code == 5
    assert "ssl_certfile" in nameless.err


def test_a_guild_works_with_no_more_rights_than_the_acl_file_gives_it(
    run: Run, start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "users.acl"
    spec = spec_on("redis://nobody-yet", tmp_path)
    granted = run("acl", spec, "--file", file, "--json").documents()
    passwords = {line["user"]: line["password"] for line in granted}
    with running_redis(tmp_path, "--aclfile", str(file)) as server:
        spec = spec_on(_as(server, "crew", passwords["crew"]), tmp_path)
        assert passwords["crew"] not in at_work(start, spec)

        assert works(run, spec)

        for user, password in (("crew", "wrong"), ("nobody", "x")):
            refused = run("agents", spec, "--bus", _as(server, user, password))
            assert refused.code == 5
            assert "check user, password" in refused.err


def _as(server: RedisServer, user: str, password: str) -> str:
    return server.url.replace("//", f"//{user}:{password}@")
