"""The network that predicts properties, in plain PyTorch, registered with mmsegmentation."""
