"""Selecting a model on folds, with plain files between the jobs.

dealing   -> the data, dealt into folds, and apart from them the answers
trial     -> a network trained without one fold; the only job that runs a model's code
baselines -> classical models on the same folds
scoring   -> scores of predictions, where no model's code runs
blending  -> ensembles, and the one look at the held-out test
"""
