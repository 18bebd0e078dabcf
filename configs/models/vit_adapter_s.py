# ViT-Adapter-S: 384 wide, with heads of 128 channels, so that it trains on a CPU too.
# Needs: a pretrained ViT-S/16 (`train.pretrained`); the position grid here is that of DINOv2's weights
#        (37 x 37); for DeiT-S set pretrain_grid to 14 in a config that inherits this one.
# Run:   prolab run configs/experiments/camvid.yaml
_base_ = "./vit_adapter_b.py"
model = dict(
    backbone=dict(dim=384, heads=6, deform_heads=6, drop_path=0.1, pretrain_grid=37),
    decode_head=dict(in_channels=[384, 384, 384, 384], channels=128),
    auxiliary_head=dict(in_channels=384, channels=128),
)
