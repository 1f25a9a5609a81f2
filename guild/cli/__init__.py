"""The command line: `guildbus`."""


def main() -> None:
    """The console script; imports nothing before it is called."""
    import gc  # noqa: PLC0415 - see above

    gc.disable()  # an eighth of what imports take; `run_command` turns it on again

    from guild.cli.app import app  # noqa: PLC0415 - see above
    from messaging._origin import check_origin  # noqa: PLC0415 - see above

    check_origin("guild")  # a stranger's first lines would not have called it

    app(prog_name="guildbus")
