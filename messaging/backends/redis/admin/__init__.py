"""What an operator asks of a server: whether it is fit, what it gave up, who may do what."""
