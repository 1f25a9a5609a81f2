"""`python -m guild.cli`."""

from guild.cli import main

main()
