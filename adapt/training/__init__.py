"""Training in one process through mmengine's Runner: the same result however often it is interrupted."""
