"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on Mix Transformer B4.

Backbone weights: mit_b4_20220624-d588d980.pth from
https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b4_20220624-d588d980.pth (weights_of: backbone).
64.6 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./daformer_mit-b5.py"]
model = dict(
    backbone=dict(num_layers=[3, 8, 27, 3]),
)
