"""What a page of the dashboard shows, by a browser without a window."""

import shutil
import subprocess
from pathlib import Path

import pytest

_ATTEMPTS = 5


def read_page(url: str, words: str, profile: Path) -> str:
    """The HTML of a page once its scripts have run.

    Args:
        url: of the page.
        words: what there must be when all is loaded; if not, the page is loaded again, a few times.
        profile: a folder for the browser's own files.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: its package is called chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={profile}"]
    for _ in range(_ATTEMPTS):
        command = [chromium, *options, "--virtual-time-budget=8000", "--dump-dom", url]
        page = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
        if words in page:
            break
    return page
