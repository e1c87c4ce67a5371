"""The fast backend: the 19 operations rewritten with numpy, OpenCV and compiled loops, equal to the reference by test.

Each file opens with what it implements and how that deviates from the reference. No file touches global state: random
numbers come from streams of their own (`stream.py`), so that threads may corrupt images at once.
"""

from __future__ import annotations

VERSION = "1"  # raised whenever the pixels of any operation may change
