"""A line that somebody types at a terminal."""

import os
import select
import signal
import sys


def typed_line(prompt: str) -> str:
    """What is typed after `prompt`, which goes to stderr. Only the main thread may ask.

    Raises:
        EOFError: Ctrl-D on an empty line.
        KeyboardInterrupt: Ctrl-C, also in the moment before reading begins, where `input` alone
            would go on waiting.
        UnicodeDecodeError: it is no text.
    """
    sys.stderr.write(prompt)
    sys.stderr.flush()
    signalled, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    try:
        select.select([sys.stdin, signalled], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(signalled)
        os.close(wakeup)
    return input()
