"""The researcher: finds a model for a dataset by itself, within a budget.

agent, state, steps, loop    what it asks for next, which follows from what came back
decisions, ladder, credit    which candidate is measured next, how far, and whose turn it is
space, knobs, recipes        what may be varied, and what a choice of it is
search, tpe, llm             those that propose
handlers, trials, places     how its messages are answered: by which jobs, in which folders
noise, conclusion, finding   what is believed, and how sure that is
records, reporting           what the experiment store and the report are told
commands, budget, terminal   `guildbus research`
"""
