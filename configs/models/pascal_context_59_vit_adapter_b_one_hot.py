# The baseline of properties on Pascal Context: the same network and recipe, one-hot labels, cross-entropy.
# Reached: 53.3 mIoU in the paper (properties: 58.2).
# Needs:   what pascal_context_59_vit_adapter_b.py needs, but no bank; the descriptions decide nothing here.
# Run:     prolab run configs/experiments/pascal_context_59.yaml \
#            --set train.model=configs/models/pascal_context_59_vit_adapter_b_one_hot.py
_base_ = "./pascal_context_59_vit_adapter_b.py"
model = dict(label_space=dict(_delete_=True, kind="one_hot"))
