# The baseline of properties on Cityscapes: the same network and recipe, one-hot labels, cross-entropy.
# Reached: 79.9 mIoU in the paper (properties: 81.4).
# Needs:   what cityscapes_vit_adapter_b.py needs, but no bank; the descriptions decide nothing here.
# Run:     prolab run configs/experiments/cityscapes.yaml \
#            --set train.model=configs/models/cityscapes_vit_adapter_b_one_hot.py
_base_ = "./cityscapes_vit_adapter_b.py"
model = dict(label_space=dict(_delete_=True, kind="one_hot"))
