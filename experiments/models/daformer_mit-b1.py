"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on Mix Transformer B1.

Backbone weights: mit_b1_20220624-02e5a6a1.pth from
https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b1_20220624-02e5a6a1.pth (weights_of: backbone).
16.9 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./daformer_mit-b5.py"]
model = dict(
    backbone=dict(num_layers=[2, 2, 2, 2]),
)
