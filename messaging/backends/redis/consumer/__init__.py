"""One incarnation of a consumer: it is lent entries, commits them, beats, and leaves."""
