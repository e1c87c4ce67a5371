"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on Mix Transformer B3.

Backbone weights: mit_b3_20220624-13b1141c.pth from
https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b3_20220624-13b1141c.pth (weights_of: backbone).
47.8 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./daformer_mit-b5.py"]
model = dict(
    backbone=dict(num_layers=[3, 4, 18, 3]),
)
