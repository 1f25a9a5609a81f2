"""`guildbus init`: asks for a model, checks it, and writes a spec that runs."""
