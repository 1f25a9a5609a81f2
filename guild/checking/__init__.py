"""Whether a spec can run: its parts, types, routes and wiring, all problems at once."""
