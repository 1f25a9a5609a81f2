"""`guildbus experiments`: what was tried in a workspace."""
