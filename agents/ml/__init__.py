"""Plain PyTorch for research: assemble, load, train, evaluate, tokenise. Knows no bus."""
