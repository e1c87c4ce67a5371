"""The methods of domain adaptation and robustness, and what trains and runs them in one process."""
