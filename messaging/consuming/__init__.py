"""Keeps a replica at work: reads, runs its handlers, commits, and takes over from the lost."""
