"""Registers our parts with mmsegmentation: what `custom_imports = dict(imports=["adapt"])` in a plain config does."""

from __future__ import annotations

import adapt.data.datasets
import adapt.uda.daformer  # noqa: F401
