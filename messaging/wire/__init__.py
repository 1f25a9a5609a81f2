"""What travels: messages, their envelope and header, topics, and what JSON of ours may hold."""
