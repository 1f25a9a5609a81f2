"""A guild that does machine-learning research by messages: assemble, evaluate, train, report."""
