# The baseline of properties on COCO-Stuff-164k: the same network and recipe, one-hot labels, cross-entropy.
# Reached: 43.1 mIoU in the paper (properties: 45.4).
# Needs:   what coco_stuff_164k_vit_adapter_b.py needs, but no bank; the descriptions decide nothing here.
# Run:     prolab run configs/experiments/coco_stuff_164k.yaml \
#            --set train.model=configs/models/coco_stuff_164k_vit_adapter_b_one_hot.py
_base_ = "./coco_stuff_164k_vit_adapter_b.py"
model = dict(label_space=dict(_delete_=True, kind="one_hot"))
