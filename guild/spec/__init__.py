"""What a guild is, as plain data, and how YAML and JSON are read into it."""
