"""Linux system calls that Python's `os` lacks: namespaces, mounts, capabilities, filters.

Everything here changes the calling process only, and raises OSError as `os` does.
"""
