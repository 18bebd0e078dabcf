"""The annotations of published data sets as they are downloaded, and the label maps that are made of them.

Each module knows one data set's rule. Values are those of the data set's configuration in `configs/datasets`.
"""


class AnnotationError(ValueError):
    """An annotation does not follow its data set's rule; the message says where, and the caller in which file."""
