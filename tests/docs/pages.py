"""What stands in the pages of `docs/` and in the READMEs, read so that tests can check and run it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
READMES = [REPOSITORY / "README.md", REPOSITORY / "docker" / "README.md", REPOSITORY / "ops" / "README.md"]
SITE = REPOSITORY / "docs" / "site" / "mkdocs.yml"

_BLOCK = re.compile(r'^```(\w*)(?: title="([^"\n]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEREDOC = re.compile(r"<<'(\w+)'\n.*?^\1$", re.MULTILINE | re.DOTALL)
_PROGRAM = re.compile(r"^(prolab|prefect|make|docker|python3?|pip) ", re.MULTILINE)
_SEPARATORS = {"&&", "||", "|", ";", "&"}
_ASSIGNMENT = re.compile(r"[A-Z0-9_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: its file.
        line: of the page, at which it begins.
        language: `sh`, `yaml`, `python`, or another or none.
        title: what stands above it; a title of shell commands says why they are not run by the tests.
        text: what is in it.
    """

    page: Path
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"

    @property
    def is_to_come(self) -> bool:
        """Whether it is about code that only the page has, which a reader has put in place by then."""
        return self.title is not None and self.title.endswith(" above")


def pages() -> list[Path]:
    """The pages in the order of the navigation."""
    return [SITE.parents[1] / name for name in _names(yaml.safe_load(SITE.read_text(encoding="utf-8"))["nav"])]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; a block of commands in no language is one of the shell's."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        language, title, content = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language or ("sh" if _PROGRAM.search(content) else ""), title, content))
    return found


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a script, without the variables that are set for it, and without redirections."""
    for line in _HEREDOC.sub("", text.replace("\\\n", " ")).splitlines():
        lexer = shlex.shlex(_first_alternative(line), posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in _SEPARATORS:
                if command := _without_surroundings(words):
                    yield command
                words = []
            else:
                words.append(word)


def inline_code(page: Path) -> set[str]:
    """What stands between backticks in the text of a page."""
    return set(_INLINE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))))


def _names(entries: Sequence[object]) -> Iterator[str]:
    for entry in entries:
        match entry:
            case str():
                yield entry
            case dict():
                for value in entry.values():
                    yield from _names(value if isinstance(value, list) else [value])


def _first_alternative(line: str) -> str:
    """The line without the signs of usage: `[--a | --b]` and `a|b` stand for what they name first."""
    line = re.sub(r"\[(--[^]|]*)(\|[^]]*)?\]", r"\1", line)
    return re.sub(r"(?<=\w)\|\w[\w.|]*", "", line)


def _without_surroundings(words: Sequence[str]) -> list[str]:
    command: list[str] = []
    skipped = False
    for word in words:
        if set(word) <= {"<", ">"}:
            skipped = True  # the file of a redirection
        elif skipped:
            skipped = False
        elif command or not _ASSIGNMENT.match(word):
            command.append(word)
    return command
