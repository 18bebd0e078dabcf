# ProLab on BDD100K: ViT-Adapter-B on crops of 768 x 768, 134 M parameters, 32 properties for 19 classes.
# Reached: 65.7 mIoU in the paper (one-hot: 60.7).
# Needs:   what the network for Cityscapes needs, its bank included.
# Run:     prolab run configs/experiments/bdd100k.yaml
_base_ = "./cityscapes_vit_adapter_b.py"
