"""The script's own machinery, by a few of its rounds; the rest takes minutes and is run by hand."""

from pathlib import Path

import pytest

from tests.faults.__main__ import FAULTS
from tests.faults.fault import play, table
from tests.faults.laboratory import Laboratory


@pytest.mark.slow
def test_rounds_are_played_and_told(tmp_path: Path) -> None:
    with Laboratory(tmp_path, only="describe") as laboratory:
        records = [play(FAULTS[name], laboratory, rounds=1, seed=0) for name in ("kill-run", "parquet")]

    assert [record.failures for record in records] == [[], []]
    assert [record.rounds for record in records] == [1, 1]
    assert len(table(records).splitlines()) == 4
