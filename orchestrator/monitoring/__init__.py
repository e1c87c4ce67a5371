"""Ready files: Prometheus that finds the nodes of a Ray cluster, and Grafana with the dashboard of sweeps."""
