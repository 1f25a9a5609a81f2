"""Opening a backend whose server may not be up yet, as when both are started together."""

import asyncio

from messaging.backend import Backend
from messaging.errors import BackendUnavailableError
from messaging.process.logs import get_logger

log = get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


async def open_within(backend: Backend, wait_s: float) -> None:
    """Open `backend`; try again for up to `wait_s` while no server is there.

    What no waiting can cure, such as a wrong password, is raised at once.

    Raises:
        BackendUnavailableError: there was no server in time.
        BackendSetupError: the server cannot keep the promises.
    """
    loop = asyncio.get_running_loop()
    give_up_at, pause_s, is_told = loop.time() + wait_s, FIRST_PAUSE_S, False
    while True:
        try:
            return await backend.open()
        except BackendUnavailableError as error:
            left_s = give_up_at - loop.time()
            if not left_s > 0:
                if not is_told:
                    raise
                raise BackendUnavailableError(f"after {wait_s:g} s still: {error}") from error
            if not is_told:
                log.warning("bus.awaited", wait_s=wait_s, error=str(error))
                is_told = True
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
