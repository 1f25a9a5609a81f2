"""The agents of the shop, its web front and its bank."""
