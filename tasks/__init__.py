"""The stages of the pipeline: index, describe, embed, cluster, train and evaluate."""
