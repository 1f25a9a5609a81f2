"""The agent that plans, then acts, by the states of its spec."""
