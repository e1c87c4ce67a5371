"""The three ways in which segshift tells a user that something is wrong, each with its remedy."""

from __future__ import annotations


class SegshiftError(Exception):
    """A mistake or a lack that the user can mend; its text is one paragraph and ends with the remedy."""


class SpecError(SegshiftError):
    """A file or an argument of the user's is wrong: the text names the file, the key and what is allowed."""


class PrerequisiteError(SegshiftError):
    """Data, weights, a package or a device is missing: the text names the command that mends it."""


class TaskError(SegshiftError):
    """A running task cannot go on: the text names the cause and the step."""
