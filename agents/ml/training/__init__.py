"""Training and measuring models, as plain functions; `agents.ml.training.jobs` has them as jobs."""
