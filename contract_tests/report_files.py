"""The files that a run leaves: JSON, HTML, SARIF, each from the JSON form alone.

Owns: where they go, and that an older one is never taken for this run's. Must not know: how any of
them looks, containers, pytest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contract_tests.settings import Settings
from emulator.errors import Usage

Reports = Sequence[Mapping[str, Any]]
"""The JSON form, one per image."""


def as_json(reports: Reports) -> str:
    """One report, or a list of them when several images were named."""
    return json.dumps(reports[0] if len(reports) == 1 else reports, indent=2) + "\n"


def _html(reports: Reports) -> str:
    from contract_tests.html_report import page

    return page(reports)


def _sarif(reports: Reports) -> str:
    from contract_tests.sarif import log, user_dockerfile

    return json.dumps(log(reports, user_dockerfile(Path.cwd(), os.environ)), indent=2) + "\n"


FORMS: Mapping[str, Callable[[Reports], str]] = {
    "report-json": as_json,
    "report-html": _html,
    "sarif": _sarif,
}


def _asked(settings: Settings) -> list[tuple[str, Path]]:
    paths = {
        "report-json": settings.report_json,
        "report-html": settings.report_html,
        "sarif": settings.sarif,
    }
    return [(key, path) for key, path in paths.items() if path is not None]


def prepare(settings: Settings) -> None:
    """Tells now, not after the run, what cannot be written. Raises Usage."""
    asked = _asked(settings)
    for key, path in asked:
        if same := [other for other, place in asked if place == path and other != key]:
            raise Usage(
                f"--{key} and --{same[0]} are both {path}: one would overwrite the other. Give each"
                " a file of its own."
            )
    for key, path in asked:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
        else:
            why = "" if os.access(path.parent, os.W_OK) else "its directory is not writable"
        if why:
            raise Usage(
                f"--{key} {path} cannot be written: {why}. Give a file in a directory that you may"
                " write to."
            )


def write(reports: Reports, settings: Settings) -> None:
    """Nothing when nothing could be run. Raises OSError."""
    if reports:
        for key, path in _asked(settings):
            path.write_text(FORMS[key](reports), encoding="utf-8")
