"""A secret that a guild was given turns up in no answer of its gateway, nor in its log."""

import logging
import re
from pathlib import Path

import pytest

from guild.checking.loader import load_yaml
from guild.gateway import gateway_app
from guild.gateway.limits import Limits
from guild.gateway.table import TABLE
from guild.gateway.tokens import add_token
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.gateway.conftest import LOCAL, asking
from tests.gateway.crew import SPEC
from tests.servers import running_redis

CANARY = "canary-7f3a-canary"
SECRETIVE = """
  - {id: secretive, type: "tests.guild.samples:Echo", properties: {token: "${env:CANARY}"}}
"""


async def test_no_answer_holds_a_secret_of_the_guild(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "tokens"
    token = add_token(file, "ada", ["read", "publish", "operate", "approve"])
    spec = load_yaml(
        SPEC.format(id=f"secretive-{new_id()}") + SECRETIVE.strip("\n"),
        allow=["tests.gateway", "tests.guild"],
    )
    said: list[str] = []
    with running_redis(tmp_path, "--requirepass", CANARY) as redis:
        url = f"redis://:{CANARY}@127.0.0.1:{redis.port}/0?give_up_after_s=0.3"
        launching = Guild.launch(spec, bus=url, environ={"CANARY": CANARY})
        async with launching as guild:
            app = gateway_app(guild.client, tokens=file, limits=Limits(quiet_s=0.05))
            async with asking(app, token) as http:
                for is_there in (True, False):
                    if not is_there:
                        redis.kill()
                    for row in TABLE:
                        if row.events and row.answer is None:
                            continue  # a stream that never ends
                        path = re.sub(r"{\w+}", "x", row.path).removeprefix("/")
                        params = {"follow": "false"} if row.events and row.query else {}
                        params = (
                            params if "follow" in getattr(row.query, "model_fields", ()) else {}
                        )
                        answer = await http.request(row.method, path, params=params)
                        said.append(f"{answer.headers} {answer.text}")
                for path in ("/readyz", "/healthz", "/", "/api/v1/openapi.json"):
                    said += [(await http.get(f"{LOCAL}{path}")).text]
            redis.start()

    told = "\n".join([*said, caplog.text])
    assert "secretive" in told
    assert "BackendUnavailableError" in told
    assert CANARY not in told
    assert token not in told


def test_the_search_for_the_secret_can_fail() -> None:
    assert CANARY in f"redis://:{CANARY}@127.0.0.1"
