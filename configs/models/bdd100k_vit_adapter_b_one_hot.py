# The baseline of properties on BDD100K: the same network and recipe, one-hot labels, cross-entropy.
# Reached: 60.7 mIoU in the paper (properties: 65.7).
# Needs:   what bdd100k_vit_adapter_b.py needs, but no bank; the descriptions decide nothing here.
# Run:     prolab run configs/experiments/bdd100k.yaml \
#            --set train.model=configs/models/bdd100k_vit_adapter_b_one_hot.py
_base_ = "./bdd100k_vit_adapter_b.py"
model = dict(label_space=dict(_delete_=True, kind="one_hot"))
