"""Which topics and groups the guild has, and which of them fit each other."""
