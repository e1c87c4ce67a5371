"""DeepLabV2 (Chen et al., TPAMI 2018, arXiv 1606.00915) on ResNet-101: the network of most published adaptation results.

Backbone weights: resnet101_v1c-e67eebb6.pth from
https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth (weights_of: backbone).
43.9 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./deeplabv2_r50.py"]
model = dict(backbone=dict(depth=101))
