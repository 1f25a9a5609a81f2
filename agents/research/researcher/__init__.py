"""The researcher: finds a model for a dataset by itself, within a budget."""
