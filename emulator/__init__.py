"""The platform's half: what Amazon SageMaker does to an inference container.

Owns: the names that users import from here, loaded when they are asked for: `import emulator` must
stay light, as the pytest plugin's runs load it. Must not know: what is behind them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.errors import Usage as Usage
    from emulator.local import EndpointFailed as EndpointFailed
    from emulator.local import LocalSageMaker as LocalSageMaker
    from emulator.local import ServerlessEndpoint as ServerlessEndpoint

__all__ = ["EndpointFailed", "LocalSageMaker", "ServerlessEndpoint", "Usage"]
__version__ = "0.1.0"

_HOMES = {
    "EndpointFailed": "emulator.local",
    "LocalSageMaker": "emulator.local",
    "ServerlessEndpoint": "emulator.local",
    "Usage": "emulator.errors",
}


def __getattr__(name: str) -> Any:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
