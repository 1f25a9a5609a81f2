"""Measures Guildbus beside its peers: `python -m benchmarks`."""
