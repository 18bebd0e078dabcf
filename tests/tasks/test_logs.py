"""What is worth reading of all that is logged."""

import logging
import warnings
from collections.abc import Iterator

import pytest

from tasks.logs import logs_sent_to


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, record.getMessage()))


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    with logs_sent_to(handler):
        yield handler


def test_our_lines_and_the_warnings_of_all_others(heard: Heard) -> None:
    logging.getLogger("tasks.train").info("step %d", 1)
    logging.getLogger("tasks.train").debug("too much")
    logging.getLogger("mmcv").info("loaded")
    logging.getLogger("mmseg").warning("no such key")
    assert heard.lines == [("tasks.train", "step 1"), ("mmseg", "no such key")]


def test_pythons_warnings_are_log_lines(heard: Heard) -> None:
    warnings.warn("old name", DeprecationWarning, stacklevel=1)
    ((name, line),) = heard.lines
    assert name == "py.warnings"
    assert "DeprecationWarning: old name" in line


def test_everything_is_as_before_afterwards() -> None:
    level = logging.getLogger("tasks").level
    handler = Heard()
    with logs_sent_to(handler):
        pass
    logging.getLogger("mmseg").error("unheard")
    assert (handler.lines, logging.getLogger("tasks").level) == ([], level)
