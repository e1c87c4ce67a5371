"""The process a task runs in: threads, seeds, number format and device, set once before any work."""

from __future__ import annotations

import random

import cv2
import numpy as np
import torch

from adapt.errors import PrerequisiteError


def configure(threads: int, seed: int | None, gpus: float) -> torch.device:
    """Prepare this process for computing; call it before the first tensor operation.

    With a seed, the random states of python, numpy and torch start from it and cuDNN keeps to deterministic
    algorithms. `torch.use_deterministic_algorithms` stays off: the gradient of bilinear resizing has no deterministic
    form on a GPU, so runs there agree to rounding only, runs on a CPU bit for bit at the same thread count.

    Args:
        threads: The number of CPU threads for torch and for OpenCV, at least 1.
        seed: The seed, at least 0; None leaves the random states alone and lets cuDNN choose the fastest algorithm.
        gpus: How many GPUs the task asks for, a share of one included. 0 is the CPU, even where a GPU is visible.

    Returns:
        The device to compute on: the CPU, or the first GPU that this process sees.

    Raises:
        PrerequisiteError: A GPU is asked for and torch sees none.
    """
    # Before any thread starts: threads inherit this flag from the one that starts them. Without it the tiny numbers in
    # a network's dead channels slow a CPU down up to a hundred times.
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.backends.cudnn.deterministic = seed is not None
    torch.backends.cudnn.benchmark = seed is None
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # numpy takes 32 bits
        torch.manual_seed(seed)
    return _choose_device(gpus)


def _choose_device(gpus: float) -> torch.device:
    if gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise PrerequisiteError(
            f"The task asks for {gpus:g} GPU(s), but torch {torch.__version__} sees none: install a CUDA build of torch "
            "that fits the driver, or set resources.gpus=0."
        )
    return torch.device("cuda", torch.cuda.current_device())
