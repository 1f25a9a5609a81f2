"""Workers that are killed and stopped at random moments while they work, and what came of it.

python -m tests.reliability.chaos --inputs 200000 --kills 50
"""
