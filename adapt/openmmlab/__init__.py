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
    from mmcv.cnn.bricks import DropPath
    from mmcv.transforms import BaseTransform, LoadImageFromFile, to_tensor
    from mmengine.config import Config, ConfigDict
    from mmengine.dataset import BaseDataset, InfiniteSampler, default_collate, pseudo_collate
    from mmengine.evaluator import BaseMetric
    from mmengine.hooks import CheckpointHook, EMAHook, Hook
    from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
    from mmengine.model import BaseModel, BaseModule, revert_sync_batchnorm
    from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
    from mmengine.registry import DefaultScope, init_default_scope
    from mmengine.runner import BaseLoop, IterBasedTrainLoop, LogProcessor, Runner
    from mmengine.runner.checkpoint import CheckpointLoader
    from mmengine.structures import PixelData
    from mmseg.datasets import BaseSegDataset
    from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
    from mmseg.models import BaseSegmentor, EncoderDecoder, SegDataPreProcessor
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.registry import (
        DATA_SAMPLERS,
        DATASETS,
        HOOKS,
        LOOPS,
        METRICS,
        MODELS,
        OPTIM_WRAPPER_CONSTRUCTORS,
        OPTIM_WRAPPERS,
        OPTIMIZERS,
        PARAM_SCHEDULERS,
        RUNNERS,
        TRANSFORMS,
    )
    from mmseg.structures import SegDataSample
    from mmseg.utils import register_all_modules

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "HOOKS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "OPTIMIZERS",
    "OPTIM_WRAPPERS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "PARAM_SCHEDULERS",
    "RUNNERS",
    "TRANSFORMS",
    "BaseDataset",
    "BaseDecodeHead",
    "BaseLoop",
    "BaseMetric",
    "BaseModel",
    "BaseModule",
    "BaseSegDataset",
    "BaseSegmentor",
    "BaseTransform",
    "CheckpointHook",
    "CheckpointLoader",
    "Config",
    "ConfigDict",
    "DefaultScope",
    "DropPath",
    "EMAHook",
    "EncoderDecoder",
    "HistoryBuffer",
    "Hook",
    "InfiniteSampler",
    "IterBasedTrainLoop",
    "LoadAnnotations",
    "LoadImageFromFile",
    "LogProcessor",
    "MMLogger",
    "MessageHub",
    "OptimWrapper",
    "OptimWrapperDict",
    "PackSegInputs",
    "PixelData",
    "Runner",
    "SegDataPreProcessor",
    "SegDataSample",
    "build_optim_wrapper",
    "default_collate",
    "init_default_scope",
    "pseudo_collate",
    "register_all_modules",
    "revert_sync_batchnorm",
    "to_tensor",
]

from adapt.openmmlab.checkpoint import install_safe_loader

install_safe_loader()
# Some heads resize with align_corners=True, as their authors did; a warning for every odd image size mends nothing.
warnings.filterwarnings("ignore", message="When align_corners=True", module="mmseg")
