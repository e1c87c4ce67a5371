"""Registers our parts with mmsegmentation: what `custom_imports = dict(imports=["adapt"])` in a plain config does."""

from __future__ import annotations

import adapt.data.datasets
import adapt.networks.daformer_head
import adapt.networks.deeplabv2_head
import adapt.networks.multi_resolution
import adapt.openmmlab.common_corruption
import adapt.openmmlab.noisy_labels
import adapt.uda.domain_pair_dataset
import adapt.uda.entropy_minimisation
import adapt.uda.self_training  # noqa: F401
