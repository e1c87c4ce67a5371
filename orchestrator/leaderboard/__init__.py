"""The leaderboard: a view of records, made anew from them at any time."""
