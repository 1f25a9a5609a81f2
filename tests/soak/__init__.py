"""Hours of ordinary work, and whether anything grows.

python -m tests.soak --minutes 60
"""
