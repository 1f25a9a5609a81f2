"""What a process has to itself: its clock, log, threads, time limits. It knows of no message."""
