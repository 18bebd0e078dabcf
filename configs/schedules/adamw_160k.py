# The paper's recipe of training: 160,000 steps of 16 crops of 512 x 512 with AdamW. A network's config that inherits it
# has its recipe under `train`, with the names of the train stage's parameters; an experiment's `train` goes before.
# Needs:   the paper spreads a step over 8 GPUs.
# Nothing that the paper does not have: no crops around classes, no weights of classes, no contrast, no clipping.
train = dict(
    max_iters=160_000,
    batch_size=16,
    crop_size=512,
    base_size=(2048, 512),
    scale_range=(0.5, 2.0),
    learning_rate=6e-5,
    layer_decay=0.95,
    weight_decay=0.01,
    warmup=1500 / 160_000,
    poly_power=1.0,
    clip_norm=None,
    class_balanced=0.0,
    class_weight_power=0.0,
    contrast=0.0,
    precision="float32",
    save_every=1000,
)
