"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on Mix Transformer B2.

Backbone weights: mit_b2_20220624-66e8bf70.pth from
https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b2_20220624-66e8bf70.pth (weights_of: backbone).
27.9 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./daformer_mit-b5.py"]
model = dict(
    backbone=dict(num_layers=[3, 4, 6, 3]),
)
