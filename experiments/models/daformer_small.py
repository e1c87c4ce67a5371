"""DAFormer's head (Hoyer et al., CVPR 2022, arXiv 2111.14887) on the cut-down U-Net of `unet_small`, for a CPU.

0.4 M parameters. Widths and dilations are ours, chosen for at most 1.5 times the step of `unet_small`: the head works at
stride 2, where every branch costs. The levels are named from the largest on, because the scale attention of two
resolutions takes its size from the first.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
_base_ = ["./unet_small.py"]
model = dict(
    decode_head=dict(
        _delete_=True,
        type="DAFormerHead",
        in_channels=[16, 32, 64, 128],
        in_index=[3, 2, 1, 0],
        channels=16,
        embed_dims=8,
        dilations=(1, 6),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
)
