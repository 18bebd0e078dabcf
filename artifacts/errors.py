"""What can go wrong in the store."""


class StoreError(RuntimeError):
    """Base of the store's errors."""


class FormatError(StoreError):
    """The store was written in a format that this version does not know, or the folder is no store."""


class NotFoundError(StoreError):
    """A reference names no artifact, or more than one."""


class DamagedError(StoreError):
    """An artifact's files are not what its manifest says."""


class ValidationError(StoreError):
    """What a stage wrote is not what its kind declares, or a recipe holds what JSON cannot."""


class FullDiskError(StoreError):
    """The disk of the store has no room left."""


class ReadOnlyError(StoreError):
    """The store cannot be written to."""


class RemoteError(StoreError):
    """The remote is not there, does not answer, or refuses what is asked of it."""


class UnreachableError(RemoteError):
    """The remote does not answer, or breaks off what it began: the same again can succeed."""
