"""Appends envelopes: in batches, under back-pressure, and again to a server that forgot them."""
