"""What may be typed: commands, arguments and options. Imports little: --help is quick."""
