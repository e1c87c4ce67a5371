"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on ResNet-101, dilated to stride 8: head or backbone?

Backbone weights: resnet101_v1c-e67eebb6.pth from
https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth (weights_of: backbone).
47.0 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./daformer_mit-b5.py"]
model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNetV1c",
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
        contract_dilation=True,
    ),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
)
