# ViT-Adapter-B with UPerHead over properties and an FCN auxiliary head: the network of ProLab's
# base models (ECCV 2024), 134 M parameters with 768-wide embeddings.
# Reached: see ade20k_vit_adapter_b.py and the other networks that inherit it.
# Needs:   pretrained DeiT-B or another ViT-B/16 (`train.pretrained`).
# Run:     prolab run EXPERIMENT.yaml --set train.model=configs/models/vit_adapter_b.py
#
# Width of the embeddings, number of properties and of classes come from the label space.
model = dict(
    type="PropertySegmentor",
    backbone=dict(
        type="ViTAdapter",
        dim=768,
        depth=12,
        heads=12,
        interactions=[(0, 2), (3, 5), (6, 8), (9, 11)],
        deform_heads=12,
        drop_path=0.3,
        pretrain_grid=14,
    ),
    decode_head=dict(
        type="PropertyUPerHead",
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        channels=512,
        dropout_ratio=0.1,
        norm_cfg=dict(type="BN"),
        align_corners=False,
    ),
    auxiliary_head=dict(
        type="PropertyFCNHead",
        in_channels=768,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type="BN"),
        align_corners=False,
    ),
    auxiliary_weight=0.4,
    label_space=dict(temperature=0.04),
    test_cfg=dict(mode="whole"),
)
