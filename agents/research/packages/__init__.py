"""Packages for the workspace's own virtual environment, beside the torch that is installed."""
