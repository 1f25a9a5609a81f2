"""Looks at topics without owing anything for what is seen."""
