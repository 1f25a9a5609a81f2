"""What a command shows: tables, drawings, progress, log lines."""
