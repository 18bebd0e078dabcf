"""Tells the server that a run lives, by which `flows.crashes` finds those that have died.

Prefect can do so, too, and does where a worker runs a flow; but its thread sleeps for a second at a time, and a command
would wait for it at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

from prefect.context import FlowRunContext, SettingsContext
from prefect.events import emit_event

from tasks.prefect_settings import settings_with

HEARTBEAT = "prefect.flow-run.heartbeat"
"""Prefect's event that a flow run lives."""

_SECONDS_BETWEEN_BEATS = 180.0  # as Prefect's


@contextmanager
def heartbeat() -> Iterator[None]:
    """Tell the server that the present flow run lives: at once, and as long as the block runs."""
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None, "called inside a flow"
    run = {
        "prefect.resource.id": f"prefect.flow-run.{context.flow_run.id}",
        "prefect.resource.name": context.flow_run.name,
    }
    ended = threading.Event()

    def beat() -> None:
        emit_event(HEARTBEAT, resource=run)
        while not ended.wait(_SECONDS_BETWEEN_BEATS):
            emit_event(HEARTBEAT, resource=run)

    # Prefect adds flow and deployment to the event by the context.
    threading.Thread(target=copy_context().run, args=(beat,), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def without_prefects_heartbeat() -> SettingsContext:
    """Prefect's settings for a flow whose end is waited for."""
    return settings_with("flows", heartbeat_frequency=None)
