"""CGNet (Wu et al., arXiv 1811.08201) for the 11 classes of CamVid, as its authors trained it.

Its weights are published at github.com/wutianyiRosun/CGNet (MIT). Mean colour and BN eps are theirs: with the usual eps
of 1e-5 these weights score 0.1 mIoU (percent) instead of 65.5.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
norm_cfg = dict(type="BN", eps=1e-3, requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[105.65775, 103.329834, 99.625404],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type="CGNet",
        norm_cfg=norm_cfg,
        in_channels=3,
        num_channels=(32, 64, 128),
        num_blocks=(3, 21),
        dilations=(2, 4),
        reductions=(8, 16),
    ),
    decode_head=dict(
        type="FCNHead",
        in_channels=256,
        in_index=2,
        channels=256,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=11,
        norm_cfg=norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
