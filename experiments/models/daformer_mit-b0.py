"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on Mix Transformer B0.

Backbone weights: mit_b0_20220624-7e0fe6dd.pth from
https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth (weights_of: backbone).
6.9 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./daformer_mit-b5.py"]
model = dict(
    backbone=dict(embed_dims=32, num_layers=[2, 2, 2, 2]),
    decode_head=dict(in_channels=[32, 64, 160, 256]),
)
