"""Where a guild's agents run."""
