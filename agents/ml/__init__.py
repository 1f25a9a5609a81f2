"""Plain PyTorch for research: assemble, summarise, load, train, evaluate, tokenise. Knows no bus."""
