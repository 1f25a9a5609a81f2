"""What an agent is: its handlers' contracts, the resources it uses, the name it is found by."""
