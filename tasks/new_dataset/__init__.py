"""Makes a data set of a user's own photos and masks: looks at all files and writes its configuration.

Not a stage: it makes files that a stage reads. Photos and masks stay as they are.
"""
