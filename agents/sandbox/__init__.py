"""Child processes for code that the guild must not run in its own."""
