"""The stage kinds, each a plain function from a task to its result: they run without Ray."""
