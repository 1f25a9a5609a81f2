"""The files of a workspace and commands run in it: the tools that read, write, list and execute."""
