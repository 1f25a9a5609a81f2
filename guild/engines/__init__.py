"""Where a guild's agents run."""

ENGINES = ("inprocess",)
