"""The commands for whoever runs a guild; each imports what it needs when it runs."""

from typing import Annotated

import typer

from guild.cli.syntax.options import (
    AgentId,
    Allow,
    AsJson,
    BusUrl,
    Common,
    Spec,
    TimeoutS,
)


def state(
    spec: Spec,
    agent: Annotated[
        str | None, typer.Argument(help="Id of the agent; left out: all agents.")
    ] = None,
    key: Annotated[
        str | None, typer.Argument(help="The key whose value is shown; left out: all keys.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what the bus keeps there for itself.")
    ] = False,
    count: Annotated[int | None, typer.Option(help="Stop after so many keys.", min=1)] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List the state that agents keep, or show one value. Nothing is changed."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.state import list_state, show_state

    typed = Common(spec, bus, allow, as_json)
    if agent is not None and key is not None:
        run_command(show_state, typed, agent, key)
    else:
        run_command(list_state, typed, agent=agent, with_the_buses_own=everything, count=count)


def pause(spec: Spec, agent: AgentId, bus: BusUrl = None, allow: Allow = None) -> None:
    """Pause an agent, in all processes, until it is resumed. What is published for it waits."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.operating import pause_agent

    run_command(pause_agent, Common(spec, bus, allow), agent)


def resume(spec: Spec, agent: AgentId, bus: BusUrl = None, allow: Allow = None) -> None:
    """Let a paused agent go on."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.operating import resume_agent

    run_command(resume_agent, Common(spec, bus, allow), agent)


def drain(
    spec: Spec,
    agent: AgentId,
    timeout_s: TimeoutS = 60.0,
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Pause an agent and wait for what it runs. As before an upgrade."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.operating import drain_agent

    run_command(drain_agent, Common(spec, bus, allow), agent, timeout_s=timeout_s)


def replay(
    spec: Spec,
    topic: Annotated[str, typer.Argument(help="The topic whose messages are repeated.")],
    agent: Annotated[str, typer.Option(help="Id of the agent that gets them, and nobody else.")],
    since: Annotated[
        str | None, typer.Option("--from", help="Only those made since, as 2030-01-31T12:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only those made before.")] = None,
    really: Annotated[
        bool, typer.Option("--really", help="Do it; otherwise it is only counted.")
    ] = False,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Hand what a topic still holds to an agent again. It comes as new messages."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.operating import replay_topic

    typed = Common(spec, bus, allow, as_json)
    run_command(replay_topic, typed, topic, agent=agent, since=since, until=until, really=really)


def forget(
    spec: Spec,
    agent: Annotated[str, typer.Argument(help="Id of an agent that is not in the spec any more.")],
    really: Annotated[
        bool, typer.Option("--really", help="Do it; otherwise it is only counted.")
    ] = False,
    quiet_s: Annotated[
        float,
        typer.Option(
            "--quiet", help="Seconds of silence after which its replicas count as dead.", min=0.1
        ),
    ] = 12.0,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Unsubscribe an agent that left the spec. All that was kept for it goes, too."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.operating import forget_agent

    typed = Common(spec, bus, allow, as_json)
    run_command(forget_agent, typed, agent, really=really, quiet_s=quiet_s)
