"""Clears what runs that are gone left in the engine.

Owns: which containers, networks and volumes may be taken. Must not know: how they were made.
Only what carries our label is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker.errors

from emulator import owner

GOING = 409
"""The engine's answer when a container is being removed already."""


def sweep(api: Any, *, everything: bool) -> list[str]:
    """Removes, and tells what: a line for each."""
    removed: list[str] = []
    ours = {"label": owner.OWNER}
    for found in api.containers(all=True, filters=ours):
        if not _is_left(found.get("Labels"), everything=everything):
            continue
        try:
            api.remove_container(found["Id"], v=True, force=True)
        except docker.errors.NotFound:
            continue
        except docker.errors.APIError as error:
            if error.status_code != GOING:  # else another sweep is at it
                raise
            continue
        removed.append(f"container {_name(found)} of {found['Image']}")
    for found in api.networks(filters=ours):
        if not _is_left(found.get("Labels"), everything=everything):
            continue
        try:
            api.remove_network(found["Id"])
        except docker.errors.APIError:
            continue  # gone, or in use by a container that is not ours to remove
        removed.append(f"network {found['Name']}")
    for found in api.volumes(filters=ours).get("Volumes") or ():
        if not _is_left(found.get("Labels"), everything=everything):
            continue
        try:
            api.remove_volume(found["Name"])
        except docker.errors.APIError:
            continue
        removed.append(f"volume {found['Name']}")
    return removed


def leftovers(api: Any) -> list[str]:
    """What a sweep would take now; nothing is touched."""
    ours = {"label": owner.OWNER}
    kinds = (
        ("container", api.containers(all=True, filters=ours)),
        ("network", api.networks(filters=ours)),
        ("volume", api.volumes(filters=ours).get("Volumes") or ()),
    )
    return [
        f"{kind} {found['Name'] if 'Name' in found else _name(found)}"
        for kind, all_found in kinds
        for found in all_found
        if _is_left(found.get("Labels"), everything=False)
    ]


def _name(container: Mapping[str, Any]) -> str:
    return str((container.get("Names") or [container["Id"][:12]])[0]).lstrip("/")


def _is_left(labels: Mapping[str, str] | None, *, everything: bool) -> bool:
    text = (labels or {}).get(owner.OWNER)
    if text is None:
        return False
    return everything or owner.alive(text) is False
