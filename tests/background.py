"""A Python module that runs beside the tests.

Owns: its process, and that it ends with them. Must not know: what it does.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Background:
    """`python -m MODULE ARGUMENTS`, from now on."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def output(self, seconds: float) -> str:
        """What it printed, when it ended well."""
        out, errors = self._process.communicate(timeout=seconds)
        assert self._process.returncode == 0, errors
        return out

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=40)
                return
            self._process.kill()
            self._process.communicate()
