"""What a server that answers 404 to /ping has instead.

Owns: where servers tell their routes, and health checks of other names. Must not know: verdicts,
why it is asked. Asked only after a start has failed, with GET alone.
"""

from __future__ import annotations

import json

from emulator.http import Reply, Request
from emulator.instance import PLATFORM_HEADERS, Instance

OPENAPI = ("/openapi.json", "/swagger.json")
HEALTH = ("/health", "/healthz", "/health_check", "/healthcheck", "/v2/health/ready", "/status")
MOST = 8
SECONDS = 1.0


async def routes(instance: Instance) -> str:
    """In words; empty when it tells none."""
    for path in OPENAPI:
        reply = await _get(instance, path)
        if reply.ok and (found := of_openapi(reply.body)):
            return f"its routes, by {path}: {_listed(found)}"
    for path in HEALTH:
        reply = await _get(instance, path)
        if reply.ok:
            return f"GET {path} answers {reply.status}"
        if reply.status is None:  # it answers no more: it would not answer the others either
            break
    return ""


async def _get(instance: Instance, path: str) -> Reply:
    request = Request(method="GET", path=path, headers=PLATFORM_HEADERS)
    return await instance.send(request, SECONDS)


def of_openapi(body: bytes) -> list[str]:
    """The paths of an OpenAPI document, as "GET /health"; none of anything else."""
    try:
        paths = json.loads(body)["paths"]
        return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _listed(found: list[str]) -> str:
    more = len(found) - MOST
    return ", ".join(found[:MOST]) + (f" and {more} more" if more > 0 else "")
