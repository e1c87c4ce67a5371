"""Weather drawn by albumentations: rain, fog, snow, sun flare, shadow and night, beside the 19 common corruptions.

The operations and their severities are OURS: numbers of theirs compare with no published table.
"""

from __future__ import annotations

VERSION = "1"  # raised whenever the pixels of any operation may change
