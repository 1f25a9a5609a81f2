"""The part of a report that shows a study: what was found, what was tried, and why."""
