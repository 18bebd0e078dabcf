"""Compare the network with outputs of the original implementation: `python tests/parity.py FILE.npz ...`.

Each file holds a network's hyper-parameters (`net`), its weights (`sd/...`), a bank (`bank/...`), inputs
(`img`, `gt`, `big`, `ori`) and what the original made of them in float64. The network that `net` describes is
built, run in float64, and compared: for every quantity the largest difference relative to the largest value is
printed. The exit code is 1 when one is above 1e-6, or when a file cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

# Beside this file lies a `prolab_model`, too: the tests of the real one, which must be found first.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.prolab_model.parity import TOLERANCE, Difference, compare_file


def report(paths: list[Path], console: Console) -> bool:
    """Print the differences of every file; whether all are small enough."""
    small = [_report_file(path, console) for path in paths]
    return all(small)


def _report_file(path: Path, console: Console) -> bool:
    console.print(Text(str(path), style="bold"), soft_wrap=True)
    try:
        differences = compare_file(path)
    except (OSError, ValueError) as error:
        console.print(Text(f"  error: {error}", style="red"), soft_wrap=True)
        return False
    for line in _lines(differences):
        console.print(line, soft_wrap=True)
    return all(difference.within for difference in differences)


def _lines(differences: list[Difference]) -> Iterator[Text]:
    for difference in differences:
        style = "green" if difference.within else "red"
        above = "" if difference.within else f"  above {TOLERANCE:.0e}"
        yield Text.assemble("  ", (f"{difference.value:.1e}{above}", style), f"  {difference.quantity}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Compare the network with outputs of the original implementation.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    raise SystemExit(0 if report(parser.parse_args().files, Console(highlight=False)) else 1)


if __name__ == "__main__":
    main()
