"""The command line: `guildbus`."""


def main() -> None:
    """The console script; imports nothing before it is called."""
    from guild.cli.app import app  # noqa: PLC0415 - see above

    app(prog_name="guildbus")
