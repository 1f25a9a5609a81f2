"""The desk: approvals lie here until somebody decides, or their deadline passes.

agent      the agent `approvals.desk`
ledger     how many lie here, and which of those that were decided are kept
commands   `guildbus approvals`
"""
