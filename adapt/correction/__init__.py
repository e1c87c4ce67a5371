"""Learning from noisy labels: when a network begins to memorise them, how they are corrected, what else one may do."""
