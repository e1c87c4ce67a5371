"""THE WALL: the only package that imports mmsegmentation, mmengine and mmcv; all else takes their names from here.

Importing it makes two mends: `compiled_ops` (mmsegmentation without compiled mmcv) and `checkpoint` (mmengine reads
checkpoints with `weights_only=True`).
"""

from __future__ import annotations

import os
import warnings

from adapt.openmmlab.compiled_ops import stand_in_for_compiled_ops

# mmsegmentation imports albumentations, which would ask the network for a newer version of itself.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# What OpenMMLab's own imports warn of (deprecated torch.jit, moved mmcv layers) is nothing that a user can act on.
with warnings.catch_warnings(), stand_in_for_compiled_ops():
    warnings.simplefilter("ignore")
    import mmseg.datasets
    import mmseg.engine
    import mmseg.evaluation
    import mmseg.models
    import mmseg.structures
    import mmseg.visualization  # noqa: F401
    from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
    from mmcv.cnn.bricks import DropPath
    from mmengine.config import Config, ConfigDict
    from mmengine.dataset import pseudo_collate
    from mmengine.hooks import Hook
    from mmengine.logging import HistoryBuffer
    from mmengine.model import BaseModel
    from mmengine.optim import OptimWrapper
    from mmengine.registry import DefaultScope
    from mmengine.runner import BaseLoop, Runner
    from mmengine.runner.checkpoint import CheckpointLoader
    from mmengine.structures import BaseDataElement, PixelData
    from mmseg.datasets import BaseSegDataset
    from mmseg.models import EncoderDecoder, SegDataPreProcessor
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.registry import DATASETS, METRICS, MODELS, PARAM_SCHEDULERS
    from mmseg.structures import SegDataSample

__all__ = [
    "DATASETS",
    "METRICS",
    "MODELS",
    "PARAM_SCHEDULERS",
    "BaseDataElement",
    "BaseDecodeHead",
    "BaseLoop",
    "BaseModel",
    "BaseSegDataset",
    "CheckpointLoader",
    "Config",
    "ConfigDict",
    "ConvModule",
    "DefaultScope",
    "DepthwiseSeparableConvModule",
    "DropPath",
    "EncoderDecoder",
    "HistoryBuffer",
    "Hook",
    "OptimWrapper",
    "PixelData",
    "Runner",
    "SegDataPreProcessor",
    "SegDataSample",
    "pseudo_collate",
]

from adapt.openmmlab.checkpoint import install_safe_loader

install_safe_loader()
# Some heads resize with align_corners=True, as their authors did; a warning for every odd image size mends nothing.
warnings.filterwarnings("ignore", message="When align_corners=True", module="mmseg")
