"""Agents that answer on the bus with a language model, what they are asked, and what they share."""
