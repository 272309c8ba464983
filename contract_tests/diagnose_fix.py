"""What to change, by why a container did not get ready.

Owns: fixes for causes, and for log lines that many people meet. Must not know: how a cause is
found. A line that no row knows gets the check's own fix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from emulator import log_words
from emulator.start import Cause, StartReport

BY_CAUSE: Mapping[Cause, str] = {
    Cause.MEMORY: "Give it more memory (--memory here, MemorySizeInMB there), or take less: one"
    " worker with one copy of the model, a smaller or memory-mapped model, no training libraries.",
    Cause.EXEC_FORMAT: "Build for the platform that AWS runs: docker build --platform linux/amd64."
    " A script needs `#!` and its interpreter as its very first line.",
    Cause.NETWORK: "Put what it fetches into the image or into model.tar.gz, and start without"
    " the peer: connect at the first request, with a time limit of a few seconds.",
    Cause.SILENT: "Answer /ping from a thread or worker that nothing else blocks, from memory:"
    " load the model before the server listens, not in the handler.",
    Cause.SERVER_ERROR: "Make the handler of /ping work: its traceback is in the container's log"
    " below, if it logs any.",
    Cause.CLOSES: "See the container's log for why a connection ends without an answer: a worker"
    " that dies at its first request, or a server of another protocol (TLS, gRPC).",
    Cause.NOT_HTTP: "Serve plain HTTP/1.1 on port 8080: no TLS, no gRPC, no HTTP/2 alone.",
}

BY_LINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'"),
        (
            "Install what has the module {0} in the image: add it to the requirements that the"
            " Dockerfile installs, and build again. If it is your own file, COPY it."
        ),
    ),
    (
        re.compile(r"Cannot find module '([^']+)'"),
        (
            "Install or copy {0} in the image: run npm ci there, after package.json and"
            " package-lock.json were copied."
        ),
    ),
    (
        re.compile(
            r"(libcuda\S*|libnvidia\S*|libcudart\S*)|NVIDIA driver|No CUDA GPU"
            r"|(?:not compiled with|no) CUDA"
        ),
        (
            "Serverless has no GPU: install the CPU build of the framework, and load the model with"
            " map_location='cpu' or device='cpu'."
        ),
    ),
    (
        re.compile(r"([\w.+-]+\.so[\w.]*): cannot open shared object file"),
        "Install the system package that has {0} in the image (`apt-file search {0}` finds it).",
    ),
    (
        re.compile(
            r"(?:No such file|not found|Not ?Found|cannot open|does not exist).*/opt/ml/model"
        ),
        (
            "The program looks for a file of the model that is not there. Give the model with"
            " --model-data DIRECTORY or model.tar.gz (on AWS: ModelDataUrl), or look whether the"
            " archive has that file at its root: tar -tzf model.tar.gz."
        ),
    ),
    (
        re.compile(r"(?:Address already in use|EADDRINUSE)"),
        "Start one server only: something in the container has taken the port before.",
    ),
    (
        re.compile(r"MemoryError|Cannot allocate memory|OutOfMemoryError|bad_alloc"),
        BY_CAUSE[Cause.MEMORY],
    ),
    (
        re.compile(r"exec format error", re.IGNORECASE),
        BY_CAUSE[Cause.EXEC_FORMAT],
    ),
)

BY_LOG = (Cause.EXITED, Cause.EXEC_FORMAT, Cause.CLOSES, Cause.SERVER_ERROR)
"""Where the log's line is the reason. A server that runs may complain of what harms nobody."""

LOGIN = frozenset({401, 403, 407})
WITHOUT_ROUTE = 404


def fix(report: StartReport) -> str:
    """For this start; empty when only the check's own is known."""
    if report.cause in BY_LOG:
        line = log_words.telling(report.log_tail)
        for pattern, text in BY_LINE:
            if found := pattern.search(line):
                return text.format(*(group or "" for group in found.groups()))
    if report.cause is Cause.CLIENT_ERROR and report.telling is not None:
        return _client_error(report.telling.reply.status)
    return BY_CAUSE.get(report.cause, "") if report.cause is not None else ""


def _client_error(status: int | None) -> str:
    if status in LOGIN:
        return "Leave GET /ping out of the login: the platform sends no credentials."
    if status == WITHOUT_ROUTE:
        return (
            'Add a route for GET /ping that answers 200, at the server\'s root: "/ping", not below'
            " a prefix, and not only /health."
        )
    return ""
