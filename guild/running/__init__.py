"""A guild at work: hosts, engines, routes, schedules, and what an operator does to its agents."""
