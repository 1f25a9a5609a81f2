"""Plain PyTorch for research: assemble, load, train, evaluate, tokenise. Knows no bus.

assembler               from a model config to a checked file
models                  model files: loaded, checked, summarised
data                    datasets by name
tokenizer               tokenizers by name
optimizers, update_rules    by name; and those that a language model chooses from parts
training                training and measuring, with losses, metrics and schedules
selection               choosing a model on folds
config, errors          configurations read strictly; what can go wrong
atomic_files, plain_files   files that are there whole or not at all, and that may be anything
checkpoints             states of trainings in files that load without running code
reporting               what a job tells while it works
preload                 what a process imports before jobs are forked from it
"""
