"""What differs between two artifacts, or between a recipe and the last artifact of its stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One difference, for example `parameters.k: 24 -> 32`."""

    part: str
    before: object
    after: object


@dataclass(frozen=True)
class Explanation:
    """Whether a build would be a hit, and if not, why not.

    Attributes:
        hit: an intact artifact with the recipe's key exists.
        version: the version that is hit, or the version of the stage's last artifact that `reasons` compare with.
        reasons: on a miss, one line for each part that differs; empty on a hit.
    """

    hit: bool
    version: str | None
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"cached {self.version}" if self.hit else "; ".join(self.reasons)
