"""A connection that comes back: where the server is, how to greet it, commands out, replies in."""
