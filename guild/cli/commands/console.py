"""`guildbus console`."""

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, OK, UsageError
from guild.cli.commands.http import TOKEN_VARIABLE, Http, callers_at, check_installed, first_signal
from guild.client import GuildClient
from guild.gateway.exposure import ExposureError, reachable

DEFAULT_PORT = 8700


async def serve_console(call: Call, http: Http) -> int:
    """Serve until SIGINT or SIGTERM; the URL goes to stdout, all else to stderr."""
    place = http.listening(DEFAULT_PORT)
    check_installed("guildbus console")
    if call.is_private:
        raise UsageError(
            f"the bus {call.bus} of {call.plan.spec.id} is inside the process that runs it, where "
            "no console can reach it. Add --bus embedded here and to `guildbus run`; or serve the "
            f"console beside the guild: guildbus run {call.spec} --http {place.port}"
        )
    callers, made_up = callers_at(call, place, http.tokens)
    from guild.gateway.app import gateway_app  # noqa: PLC0415  an extra
    from guild.gateway.limits import DEFAULT_LIMITS  # noqa: PLC0415  likewise
    from guild.gateway.mounted import extra_apps  # noqa: PLC0415  likewise
    from guild.gateway.serving import listening  # noqa: PLC0415

    with first_signal(call, "stopping; again to stop at once") as stop:
        async with extra_apps(call.plan) as mounts, call.client() as client:
            app = gateway_app(client, tokens=callers, hosts=place.all_names, mounts=mounts)
            try:
                served = listening(app, place, limits=DEFAULT_LIMITS, streams=app.state.streams)
                async with served as (_, url):
                    await _tell_of_absence(call, client)
                    if made_up:
                        call.output.note(
                            f"token, shown this once: export {TOKEN_VARIABLE}={made_up}"
                        )
                    call.output.note(f"console of {call.plan.spec.id}; stop with Ctrl-C")
                    call.output.text(f"{reachable(url)}/")
                    await stop.wait()
            except ExposureError as error:
                call.output.error(str(error))
                return FAILED
    return OK


async def _tell_of_absence(call: Call, client: GuildClient) -> None:
    if not await client.beats(tuple(call.plan.agents)):
        call.output.note(
            f"warning: no agent of {call.plan.spec.id} is running; start: {call.command('run')}"
        )
