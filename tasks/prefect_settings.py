"""Prefect's settings, changed for a block of code."""

from __future__ import annotations

from prefect.context import SettingsContext, get_settings_context


def settings_with(section: str, **values: object) -> SettingsContext:
    """Prefect's present settings with other values in a section; they hold inside a `with` of what is returned.

    They are copied by hand, since Prefect's `temporary_settings` would read all settings anew, for a tenth of a second.
    """
    present = get_settings_context()
    changed = getattr(present.settings, section).model_copy(update=values)
    return SettingsContext(profile=present.profile, settings=present.settings.model_copy(update={section: changed}))
