"""A full disk, told in words: whatever failed for want of room says which disk and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from adapt.errors import TaskError

FULL = (errno.ENOSPC, errno.EDQUOT)
# torch.save does not pass the system's error on: it names its own writer, or finds the file shorter than it should be.
TORCH_FULL = ("PytorchStreamWriter failed writing", "unexpected pos")


def explain_full_disk(error: Exception, folder: Path) -> Exception:
    """Return a TaskError in the place of an error that comes from a full disk, and any other error as it is.

    Args:
        error: what a task, or the keeping of its results, ended by.
        folder: where the task writes; named where the error names no file of its own.
    """
    for cause in _list_causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            place = Path(cause.filename).parent if isinstance(cause.filename, str) else folder
            reason = cause.strerror
        elif isinstance(cause, RuntimeError) and any(sign in str(cause) for sign in TORCH_FULL):
            place, reason = folder, "a checkpoint could not be written"
        else:
            continue
        full = TaskError(
            f"the disk of {place} is full ({reason}). What was half written is removed and finished tasks are kept. "
            "Free some space (`segshift store gc` shows what no experiment needs) and run the same command again."
        )
        full.__cause__ = error
        return full
    return error


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
