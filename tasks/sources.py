"""The modules that decide what a network computes and what it reads: part of the key of every stage that runs one."""

NETWORK = (
    "ops",
    "prolab_model.adapter",
    "prolab_model.adapter_backbone",
    "prolab_model.beit",
    "prolab_model.beit_adapter",
    "prolab_model.checkpoint",
    "prolab_model.config_file",
    "prolab_model.data",
    "prolab_model.dataset_config",
    "prolab_model.heads",
    "prolab_model.image_files",
    "prolab_model.label_space",
    "prolab_model.openmmlab",
    "prolab_model.relative_position",
    "prolab_model.resampling",
    "prolab_model.segmentor",
    "prolab_model.strips",
    "prolab_model.vit",
    "prolab_model.vit_adapter",
    "tasks.dataset",
)
