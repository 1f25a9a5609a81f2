"""Custom blocks that are copied into the folder of a run; nothing imports them from here."""
