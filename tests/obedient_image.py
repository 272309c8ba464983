"""The image of tests/obedient: a model that does what a request's body says.

Owns: that it is there and up to date. Must not know: what a test asks it for.
"""

from __future__ import annotations

from pathlib import Path

from emulator.engines.connect import connect
from fixtures.building import Image, build

IMAGE = Image(repository="byoc-test-obedient", directory=Path(__file__).parent / "obedient")


def obedient() -> str:
    """Its name. Takes a second when it must be built, else a few milliseconds."""
    client = connect()
    try:
        build(client, IMAGE, {"BASE": "byoc-base:latest"})
    finally:
        client.close()
    return IMAGE.tag
