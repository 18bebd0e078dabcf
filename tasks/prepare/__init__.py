"""Prepares published data sets as they are downloaded: checks what is there and makes the label maps that are not.

Not a stage: what is made lies beside the photos, where the stage `index` finds it by the data set's configuration.
"""
