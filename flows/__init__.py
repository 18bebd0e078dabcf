"""What people run: the pipeline, its experiments and the `prolab` command."""
