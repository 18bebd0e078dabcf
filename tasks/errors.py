"""The error that a user can mend, and the one that time may mend."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 20


class InputError(ValueError):
    """Input that a user gave is wrong: says what was expected, what came, and where."""


class TransientError(RuntimeError):
    """What failed may work later: a server is down or overloaded."""


def raise_for(problems: Sequence[str], where: str) -> None:
    """Raise InputError that counts the problems and lists the first of them; return where there are none."""
    if not problems:
        return
    shown = [f"  {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        shown.append(f"  … and {len(problems) - _SHOWN} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise InputError("\n".join([f"{count} in {where}", *shown]))
