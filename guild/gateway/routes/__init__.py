"""What is done for each row of the table of routes."""
