"""Breaks things and says what became of it: `python -m tests.faults [NAME ...] [--rounds N] [--seed S]`.

Prints a line for each round, and at the end the table that stands in docs/faults.md. Exit code 1 when something did not
hold. A round that failed is played again by its seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.conftest import pytest_configure
from tests.faults import clock, damage, dashboard, deployments, disk, model, races, remote, runs, versions
from tests.faults.fault import play, table
from tests.faults.laboratory import Laboratory

_MODULES = (runs, races, disk, damage, clock, model, remote, deployments, versions, dashboard)
FAULTS = {fault.name: fault for module in _MODULES for fault in module.FAULTS}


def main() -> None:
    """Play rounds of the named faults, or of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"faults; all if none is named: {', '.join(FAULTS)}")
    parser.add_argument("--rounds", type=int, default=10, help="of each fault")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; the next has the next")
    parser.add_argument("--folder", type=Path, help="keep what is prepared for the rounds here, for the next time")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    pytest_configure()  # lets Ctrl-C through to what is started here
    with (
        tempfile.TemporaryDirectory(prefix="prolab-faults-") as temporary,
        Laboratory((arguments.folder or Path(temporary)).absolute()) as laboratory,
    ):
        records = [
            play(FAULTS[name], laboratory, arguments.rounds, arguments.seed) for name in arguments.names or FAULTS
        ]
    print(table(records))
    sys.exit(any(record.failures for record in records))


if __name__ == "__main__":
    main()
