"""Training and measuring models, as plain functions; `agents.ml.jobs_training` has them as jobs."""
