"""Is there a Prefect server to report to? Answered without importing Prefect, which takes a second."""

from __future__ import annotations

import logging
import os
import sys
import tomllib
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 3.0


def prefect_api_answers() -> bool:
    """Whether a Prefect API is configured (in the environment or the active profile) and answers."""
    url = _configured_url()
    if url is None:
        return False
    trouble = trouble_with(url)
    if trouble is not None:
        log.warning("the Prefect API at %s does not answer (%s): running without a dashboard", url, trouble)
    return trouble is None


def is_away(error: BaseException) -> bool:
    """Whether a request to the Prefect API failed since nobody answers there; others may use the same library."""
    import httpx

    if not isinstance(error, httpx.TransportError | httpx.HTTPStatusError):
        return False
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    url = _configured_url()
    return url is not None and str(error.request.url).startswith(url.rstrip("/"))


def go_on_without_prefect(error: BaseException) -> NoReturn:
    """Begin this command anew in the same process, without Prefect: what is done is in the store.

    What it forces it makes once more. Prefect's threads would try for minutes to tell the server of each event before
    they let the process end.
    """
    log.warning("the Prefect server does not answer any more (%s): going on without it", error)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"PREFECT_API_URL": ""})


def trouble_with(url: str) -> str | None:
    """Why the Prefect API at the URL does not answer; None where it does."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=_PATIENCE_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        # A server that asks for a login or has no health page is there all the same.
        return None if error.code < HTTPStatus.INTERNAL_SERVER_ERROR else f"HTTP status {error.code}"
    except (OSError, ValueError) as error:
        return str(error)


def _configured_url() -> str | None:
    if (url := os.environ.get("PREFECT_API_URL")) is not None:
        return url or None  # an empty one says that there is none, whatever the profile says
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    if not profiles.is_file():
        return None
    content = tomllib.loads(profiles.read_text(encoding="utf-8"))
    active = os.environ.get("PREFECT_PROFILE", content.get("active"))
    url = content.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    return str(url) if url else None
