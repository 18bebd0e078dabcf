"""The checks of a label space in words, for logs and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.cluster.diagnostics import ClassPair, Diagnostics


@dataclass(frozen=True)
class Check:
    """One thing that a label space should fulfil.

    Attributes:
        rule: what should be so.
        findings: where it is not.
        warns: whether a finding may cost accuracy; otherwise it is worth a look.
    """

    rule: str
    findings: tuple[str, ...]
    warns: bool = True

    @property
    def state(self) -> str:
        """`good`, `bad`, or `info` for findings that only deserve a look."""
        if not self.findings:
            return "good"
        return "bad" if self.warns else "info"


def checks(diagnostics: Diagnostics) -> list[Check]:
    """All checks, the gravest first."""
    return [
        Check(
            "No two classes have the same properties",
            tuple(f"No property tells these classes apart: {_list(group)}" for group in diagnostics.identical_classes),
        ),
        Check(
            "No class is contained in another",
            tuple(
                f"All properties of {first} are properties of {second}, too"
                for first, second in diagnostics.subset_classes
            ),
        ),
        Check(
            "No two classes are nearly equal",
            tuple(_nearly_equal(pair) for pair in diagnostics.nearly_equal),
        ),
        Check(
            "Every class has three properties at least",
            tuple(f"Fewer than 3 properties: {name}" for name in diagnostics.few_properties),
        ),
        Check(
            "No property belongs to every class",
            tuple(f"Every class has the property: {name}" for name in diagnostics.properties_of_all_classes),
        ),
        Check(
            "Every cluster has members",
            (f"{diagnostics.empty_clusters} clusters got no member and are left out",)
            if diagnostics.empty_clusters
            else (),
        ),
        Check(
            "Properties are shared",
            tuple(f"One class alone has the property: {name}" for name in diagnostics.properties_of_one_class),
            warns=False,
        ),
    ]


def _nearly_equal(pair: ClassPair) -> str:
    return (
        f"{pair.first} and {pair.second} share {pair.shared} properties (cosine {pair.cosine:.2f}); what could tell "
        f"them apart: {pair.first}: {_list(pair.telling_first)}; {pair.second}: {_list(pair.telling_second)}"
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
