"""The error that a user can mend."""


class InputError(ValueError):
    """Input that a user gave is wrong: says what was expected, what came, and where."""
