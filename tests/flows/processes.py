"""Runs the `prolab` command in processes of its own."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Prolab:
    """The command in a folder that holds `experiment.yaml`.

    Attributes:
        folder: the working directory.
        environment: the environment variables.
        command: what runs it; the tiny pipeline, whose code lies in the folder, where nothing else is said.
    """

    folder: Path
    environment: dict[str, str]
    command: tuple[str, ...] = (sys.executable, "-m", "tiny")

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def states(self, *arguments: str) -> dict[str, str]:
        """Run the experiment and return the state of each stage."""
        return {stage: row[1] for stage, row in self.summary(*arguments).items()}

    def summary(self, *arguments: str) -> dict[str, list[str]]:
        """Run the experiment and return the rows of the table by stage."""
        done = self("run", "experiment.yaml", *arguments)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    def plan(self, *arguments: str) -> dict[str, list[str]]:
        done = self("plan", "experiment.yaml", *arguments)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [*self.command, *arguments]


def rows(table: str) -> dict[str, list[str]]:
    """Rows of a plain table by what stands in the first column."""
    cells = [line.split("\t") for line in table.splitlines() if "\t" in line]
    return {row[0]: row for row in cells[1:]}
