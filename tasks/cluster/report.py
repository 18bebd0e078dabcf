"""The label space in words: warnings first, then every property with its members."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.cluster.diagnostics import Diagnostics
from tasks.markdown import table

_FEW_PROPERTIES = 3


def report(diagnostics: Diagnostics, properties: Sequence[str], members: Sequence[Sequence[str]], picture: str) -> str:
    """Markdown report.

    Args:
        diagnostics: figures of the label space.
        properties: names of the K properties.
        members: descriptions of each property, as "class: text".
        picture: file name of the picture.
    """
    classes = diagnostics.properties_per_class
    mean = sum(classes.values()) / len(classes)
    alone = len(diagnostics.properties_of_one_class)
    parts = [
        f"# {len(properties)} properties of {len(classes)} classes",
        f"A class has {mean:.1f} properties on average ({min(classes.values())} to {max(classes.values())}); "
        f"{alone} properties belong to one class alone. "
        f"{sum(diagnostics.property_sizes)} descriptions, inertia {diagnostics.inertia:.1f}.",
        _warnings(diagnostics),
        f"![Which class has which property]({picture})",
        "## Properties",
        table(
            ("id", "property", "size", "members"),
            [(k, name, len(members[k]), "; ".join(members[k])) for k, name in enumerate(properties)],
        ),
        "## Most similar classes",
        table(
            ("class", "class", "cosine", "shared properties"),
            [(pair.first, pair.second, f"{pair.cosine:.3f}", pair.shared) for pair in diagnostics.closest_classes],
        ),
        "## Properties of each class",
        table(("class", "properties"), classes.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _warnings(diagnostics: Diagnostics) -> str:
    few = [name for name, count in diagnostics.properties_per_class.items() if count < _FEW_PROPERTIES]
    warnings = [
        *(f"No property tells these classes apart: {', '.join(group)}" for group in diagnostics.identical_classes),
        *(f"All properties of {first} are properties of {second}, too" for first, second in diagnostics.subset_classes),
        *(f"Every class has the property: {name}" for name in diagnostics.properties_of_all_classes),
        *(f"Fewer than {_FEW_PROPERTIES} properties: {name}" for name in few),
    ]
    return "\n".join(["**Warnings**\n", *(f"- {warning}" for warning in warnings)]) if warnings else ""
