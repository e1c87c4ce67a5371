"""A network under every corruption and severity of a protocol: what the `benchmark` stage computes, in one process."""
