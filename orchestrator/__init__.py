"""How experiments run: Ray, the store, records, MLflow, leaderboards and the command line."""
