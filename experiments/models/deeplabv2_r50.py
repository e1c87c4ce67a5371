"""DeepLabV2 (Chen et al., TPAMI 2018, arXiv 1606.00915) on ResNet-50, as the adaptation literature uses it.

Stride 8; no CRF, no auxiliary head. Backbone weights: resnet50_v1c-2cccc1ad.pth from
https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth (weights_of: backbone). torchvision's ResNet
has another first layer: for its weights (open-mmlab's name: torchvision://resnet50) set `backbone.type: ResNet`.
24.9 M parameters.
"""

# ruff: noqa: C408  (`dict(...)` is how mmsegmentation writes its configs)
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],  # ImageNet, as mmsegmentation's own configs
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type="ResNetV1c",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style="pytorch",
        contract_dilation=True,
    ),
    decode_head=dict(
        type="DeepLabV2Head",
        in_channels=2048,
        in_index=3,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
