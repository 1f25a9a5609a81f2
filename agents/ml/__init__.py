"""Plain PyTorch for research: assemble, summarise, load data, train, evaluate, tokenise. Knows no bus."""
