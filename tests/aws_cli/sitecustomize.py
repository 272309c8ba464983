"""Python loads this before the AWS CLI when it is on PYTHONPATH: the loopback is reached, any other
host is refused before its name is looked up. Each host is written to the file BYOC_HOSTS. Between
two attempts it does not wait: that is the CLI's own business.
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
time.sleep = lambda _seconds: None
