"""Engines for plain, blocking code, which runners and frontends are built on."""
