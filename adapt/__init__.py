"""The methods of domain adaptation and robustness, and what trains and runs them in one process."""

from __future__ import annotations

import sys

# A plain MMSegmentation config says `custom_imports = dict(imports=["adapt"])` and then names our datasets, transforms
# and segmentors. Who writes that has loaded mmengine already, so registering our parts costs nothing new; everyone else
# (the planner, the command line) gets a package that imports neither torch nor mmsegmentation.
if "mmengine" in sys.modules:
    import adapt.openmmlab.registration  # noqa: F401
