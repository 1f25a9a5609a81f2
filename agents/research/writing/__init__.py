"""What a language model writes for the tools: one client, and a task for each tool."""
