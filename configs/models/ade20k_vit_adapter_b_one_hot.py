# The baseline of properties on ADE20K: the same network and recipe, one-hot labels, cross-entropy.
# Reached: 48.2 mIoU in the paper (properties: 48.3); 48.8 by the authors of ViT-Adapter.
# Needs:   what ade20k_vit_adapter_b.py needs, but no bank; the descriptions decide nothing here.
# Run:     prolab run configs/experiments/ade20k.yaml \
#            --set train.model=configs/models/ade20k_vit_adapter_b_one_hot.py
_base_ = "./ade20k_vit_adapter_b.py"
model = dict(label_space=dict(_delete_=True, kind="one_hot"))
