"""What it costs to look at a guild: the gateway, the page in a browser, and the guild itself."""
