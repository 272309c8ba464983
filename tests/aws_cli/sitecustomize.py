"""Python loads this before the AWS CLI or the SageMaker SDK when it is on PYTHONPATH: the loopback
is reached, any other host is refused before its name is looked up. Each host is written to the file
BYOC_HOSTS. Between two attempts it waits for BYOC_SLEEP seconds at most: that is the client's own
business.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    with Path(os.environ["BYOC_HOSTS"]).open("a") as hosts:
        print(host, file=hosts)
    if host not in LOOPBACK:
        raise ConnectionRefusedError(f"tests/aws_cli refuses to connect to {host}")


sys.addaudithook(guard)
longest, sleep = float(os.environ.get("BYOC_SLEEP", "0")), time.sleep
time.sleep = lambda seconds: sleep(min(seconds, longest))
