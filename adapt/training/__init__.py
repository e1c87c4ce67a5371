"""Training through mmengine's Runner, in one process or several: the same result however often it is interrupted."""
