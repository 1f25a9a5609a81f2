"""One call of the command line: from the words that were typed to the exit status."""
