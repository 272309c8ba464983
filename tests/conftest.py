"""The Hypothesis profiles of our own tests: `dev` is quick, `ci` looks longer and always the same.

Owns: how many examples are tried. Must not know: what is tested.
"""

from __future__ import annotations

import os

from hypothesis import settings

# Machines that run several jobs are slow at times; a slow example is no finding here.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
