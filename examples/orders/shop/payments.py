"""An effect outside the guild: steps, an idempotency key, retries, and an error that ends them."""

import json
import urllib.error
import urllib.request
from http import HTTPStatus

from pydantic import BaseModel

from guild import Agent, BaseAgentProps, Context, handles
from shop.messages import CardCharged, CardDeclined, ChargeCard

ANSWER_S = 5.0


class InvalidCardError(Exception):
    """The bank knows no such card, and will not know it in a minute: trying again is in vain."""

    retryable = False


class Charge(BaseModel):
    """What the bank answered."""

    charge_id: str = ""
    declined: str = ""


class PaymentsProps(BaseAgentProps):
    bank_url: str


class Payments(Agent[PaymentsProps]):
    """Anything that `charge` raises is an attempt that failed: it is tried again with a growing
    pause, up to `retry.attempts` times. A finished step is not run again by a later attempt.
    """

    @handles
    async def charge(self, request: ChargeCard, ctx: Context) -> CardCharged | CardDeclined:
        charge: Charge = await ctx.step(
            "charge",
            charge_at_bank,
            self.properties.bank_url,
            ctx.idempotency_key,
            request,
            returns=Charge,
        )
        if charge.declined:
            return CardDeclined(reason=charge.declined)
        return CardCharged(charge_id=charge.charge_id)


def charge_at_bank(bank_url: str, key: str, request: ChargeCard) -> Charge:
    """Ask the bank; under an equal key it charges once, however often it is asked.

    Raises:
        InvalidCardError: the bank knows no such card.
        OSError: the bank failed, or did not answer; it may have charged all the same.
    """
    asked = urllib.request.Request(
        f"{bank_url}/charges",
        data=request.model_dump_json().encode(),
        headers={"Idempotency-Key": key, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_S) as answer:
            return Charge(charge_id=json.load(answer)["charge_id"])
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.PAYMENT_REQUIRED:
            return Charge(declined=error.read().decode())
        if error.code == HTTPStatus.NOT_FOUND:
            raise InvalidCardError(error.read().decode()) from error
        raise
