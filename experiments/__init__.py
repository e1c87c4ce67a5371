"""What to run: experiment files, their schema, and their expansion into a graph of tasks."""
