"""Worker processes die, stop, stall and starve."""

import pytest

from tests.crew.orders import (
    AFTER_COMMIT,
    AFTER_READ,
    BEFORE_COMMIT,
    COMMIT_SENT,
    IN_HANDLER,
    MOMENTS,
)
from tests.crew.stage import on_stage

INPUTS = 1_000
PATIENCE_S = 30.0
MUTANT_PATIENCE_S = 3.0  # somewhat more than a lease
EXPOSED_BY = {
    AFTER_READ: "early-ack",
    IN_HANDLER: "early-ack",
    BEFORE_COMMIT: "early-ack",
    COMMIT_SENT: "plain",
    AFTER_COMMIT: "early-ack",
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_worker_that_is_killed(server_url: str, moment: str, is_mutant: bool) -> None:
    kind = EXPOSED_BY[moment] if is_mutant else "bus"
    async with on_stage(server_url, workers=1, kind=kind) as stage:
        victim = await stage.crew.hire_one(hold_at=moment)
        await stage.publish(INPUTS)
        await victim.held()
        await stage.server_is_through()

        await victim.kill()

        account = await stage.account(patience_s=MUTANT_PATIENCE_S if is_mutant else PATIENCE_S)
    account.check(within_s=5, is_mutant=is_mutant)
