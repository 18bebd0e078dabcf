# A light ViT-Adapter-T: 192 wide, with heads of 128 channels. ViT-Adapter's authors have heads of 512 and 256 channels
# and deform_ratio 1.
# Reached: nothing measured yet.
# Needs:   a pretrained DeiT-T or another ViT-T/16 (`train.pretrained`).
# Run:     prolab run EXPERIMENT.yaml --set train.model=configs/models/vit_adapter_t.py
_base_ = "./vit_adapter_b.py"
model = dict(
    backbone=dict(dim=192, heads=3, deform_heads=6, drop_path=0.1),
    decode_head=dict(in_channels=[192, 192, 192, 192], channels=128),
    auxiliary_head=dict(in_channels=192, channels=128),
)
