"""How loops are compiled: by numba, without the interpreter's lock, and kept on disk for the next process.

Fast math stays off: every operation is rounded as IEEE 754 says and in the order written, so that loops can equal the
reference bit for bit; dividing by zero gives what numpy gives, not an exception. numba does not see a change in another
file: a compiled loop calls only loops of its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop when it is first called.

    Args:
        function: A function of arrays and numbers, in the part of Python that numba knows.

    Returns:
        The compiled function.
    """
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return numba.njit(nogil=True, error_model="numpy")(function)
