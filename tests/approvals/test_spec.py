"""`specs/approvals.yaml`: an approval by routes alone."""

from pathlib import Path

import pytest

from agents.hello import Greet
from guild.approvals import ApprovalRequest
from guild.checking.loader import load_file
from guild.deciding import approve, reject
from guild.testing import launched, sent, settled
from tests.approvals.shop import asking, lying

SPEC = Path(__file__).parents[2] / "specs" / "approvals.yaml"


@pytest.mark.parametrize("is_approved", [True, False])
async def test_a_route_goes_on_with_what_was_approved_and_with_nothing_else(
    is_approved: bool,
) -> None:
    async with launched(load_file(SPEC)) as guild:
        asked = asking(guild.client, what="Greet Ada", details={"name": "Ada"})
        (approval,) = await lying(guild.client)

        await (approve if is_approved else reject)(guild.client, approval.id, by="bob")

        assert (await asked).approved is is_approved
        await settled(guild)
        greeted = [
            message for message in await sent(guild, "greetings") if isinstance(message, Greet)
        ]
        assert greeted == ([Greet(name="Ada")] if is_approved else [])


async def test_what_was_only_published_goes_on_by_the_route_too() -> None:
    spec = load_file(SPEC)
    async with launched(spec) as guild:
        request = ApprovalRequest(what="Greet Ada", details={"name": "Ada"})
        await guild.client.publish("approvals", request)
        (approval,) = await lying(guild.client)

        await approve(guild.client, approval.id, by="bob")

        await settled(guild)
        greeted = [each for each in await sent(guild, "greetings") if isinstance(each, Greet)]
        assert greeted == [Greet(name="Ada")]
