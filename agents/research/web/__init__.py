"""What a workspace's experiments are, over HTTP: studies, their trees, and curves as they grow."""
