"""Why a container is not ready, in words made of what was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.diagnose_fix import BY_LINE, fix
from emulator import log_words
from emulator.engines import Socket
from emulator.engines.docker_network import parse_connecting, parse_sockets
from emulator.http import Outcome, Reply
from emulator.instance import PING
from emulator.limits import MIB
from emulator.start import Cause, PingAnswer, StartReport, StartState, answer_words

PUBLIC, LOOPBACK = Socket(address="0.0.0.0", port=8080), Socket(address="127.0.0.1", port=8080)
PEER, NAMES = Socket(address="10.0.0.5", port=5432), Socket(address="8.8.8.8", port=53)


def answer(status=None, outcome=Outcome.ANSWERED, body=b"", seconds=0.01, times=9, **headers):
    reply = Reply(
        request=PING,
        outcome=outcome if status is None else Outcome.ANSWERED,
        seconds=seconds,
        status=status,
        body=body,
        body_bytes=len(body),
        headers=headers,
    )
    return PingAnswer(at_seconds=0.5, reply=reply, times=times)


RESET = answer(outcome=Outcome.RESET)
HANGS = answer(outcome=Outcome.TIMEOUT, seconds=2.0)


def late(*answers, **known):
    return StartReport(
        state=StartState.TIMED_OUT,
        seconds=180.0,
        container_seconds=0.2,
        answers=answers or (RESET,),
        listening=known.pop("listening", ()),
        **known,
    )


def dead(code, log="", **known):
    return StartReport(
        state=StartState.EXITED,
        seconds=0.334,
        container_seconds=0.2,
        answers=(RESET,),
        exit_code=code,
        log_tail=log,
        **known,
    )


TRACEBACK = """loading
Traceback (most recent call last):
  File "/opt/program/app.py", line 6, in <module>
    import joblib
ModuleNotFoundError: No module named 'joblib'"""
GUNICORN = (
    "[2026-01-01 00:00:00 +0000] [8] [ERROR] Exception in worker process\n"
    + TRACEBACK
    + """
[2026-01-01 00:00:00 +0000] [8] [INFO] Worker exiting (pid: 8)
[2026-01-01 00:00:00 +0000] [1] [ERROR] Worker (pid:8) exited with code 3.
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/gunicorn/arbiter.py", line 209, in run
    self.sleep()
gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>
[2026-01-01 00:00:00 +0000] [1] [ERROR] Reason: Worker failed to boot."""
)


# -- the line of the log that tells ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'joblib'"),
        (GUNICORN, "ModuleNotFoundError: No module named 'joblib'"),
        (TRACEBACK + "\n\x1b[31mgood bye\x1b[0m", "ModuleNotFoundError: No module named 'joblib'"),
        ("exec /x/serve: exec format error", "exec /x/serve: exec format error"),
        (
            ("starting\nError: Cannot find module 'express'\nRequire stack:\n- /app.js\n"
            "    at Module._load (node:internal:1:2)\n\nNode.js v18.20.4"),
            "Error: Cannot find module 'express'",
        ),
        (
            ('Exception in thread "main" java.lang.RuntimeException: no\n\tat A.main(A.java:1)\n'
            "Caused by: java.io.FileNotFoundException: /opt/ml/model/m.zip\n\t... 3 more"),
            "Caused by: java.io.FileNotFoundException: /opt/ml/model/m.zip",
        ),
        (
            "panic: open m: no such file\n\ngoroutine 1 [running]:\nmain.main()\nexit status 2",
            "panic: open m: no such file",
        ),
        (
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\nnginx stopped",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
        ),
        ("hello\nserve: 3: gunicorn: not found\ngood bye", "serve: 3: gunicorn: not found"),
        ("usage: app.py [-h]\napp.py: error: unrecognized arguments: serve",
         "app.py: error: unrecognized arguments: serve"),
        ("one\ntwo\n\n", "two"),
        ("", ""),
        (" \n\t\n", ""),
    ],
)  # fmt: skip
def test_the_line_that_tells_is_found_among_what_follows_it(log, line):
    assert log_words.telling(log) == line


@given(st.text(max_size=600))
def test_whatever_a_container_writes_becomes_at_most_one_harmless_line(log):
    for words in (log_words.telling(log), log_words.last(log), log_words.network(log)):
        assert len(words) <= log_words.LONGEST
        assert words == "" or words.isprintable()
    for report in (dead(1, log), late(log_tail=log), late(HANGS, log_tail=log)):
        assert report.describe().isprintable()
        assert isinstance(fix(report), str)


@pytest.mark.parametrize(
    "line",
    [
        "psycopg2.OperationalError: connection to server at 10.0.0.5 failed: Connection timed out",
        "redis: [Errno 111] Connection refused. Retrying in 5 s",
        "requests: Max retries exceeded with url: /model.bin",
        "getaddrinfo ENOTFOUND features.internal",
        "Temporary failure in name resolution",
        "java.net.UnknownHostException: features",
    ],
)
def test_words_about_a_peer_that_is_not_there_are_known(line):
    assert log_words.network(f"start\n{line}\nwaiting\n") == line
    assert late(log_tail=line).cause is Cause.NETWORK


@pytest.mark.parametrize(
    "line", ["loading the model", "Listening soon", "connected to the database"]
)
def test_other_words_do_not_blame_the_network(line):
    assert late(log_tail=line).cause is Cause.NOT_LISTENING


# -- causes and their words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "cause", "words"),
    [
        (dead(1, TRACEBACK), Cause.EXITED,
         "exited with code 1: ModuleNotFoundError: No module named 'joblib' (after 0.33 s)"),
        (dead(0), Cause.EXITED, "exited with code 0 after 0.33 s, with nothing in its log"),
        (dead(139, "loading"), Cause.EXITED, "exited with code 139, SIGSEGV: loading"),
        (dead(1, "exec /x: exec format error"), Cause.EXEC_FORMAT, "exec /x: exec format error"),
        (dead(137, "loading", oom_kills=1, memory_bytes=1024 * MIB), Cause.MEMORY,
         ("killed for memory at its limit of 1024 MB (exited with code 137, SIGKILL, after 0.33 s);"
         " its log ends with: loading")),
        (dead(137, "loading"), Cause.EXITED, "exited with code 137, SIGKILL: loading"),
        (dead(3, TRACEBACK, oom_kills=2, memory_bytes=1024 * MIB), Cause.EXITED,
         "; the kernel killed 2 processes of it for memory, at its limit of 1024 MB"),
        (late(oom_kills=9), Cause.MEMORY, "the kernel killed 9 processes of it for memory"),
        (late(), Cause.NOT_LISTENING,
         "nothing listens on port 8080; its log is empty; not ready after 180.0 s"),
        (late(listening=None), Cause.NOT_LISTENING, "no connection is taken on port 8080"),
        (late(listening=(LOOPBACK,)), Cause.ELSEWHERE, "listens only on 127.0.0.1:8080"),
        (late(listening=(PUBLIC, LOOPBACK)), Cause.CLOSES, "closes them without an answer"),
        (late(connecting=(PEER, NAMES)), Cause.NETWORK,
         ("probably waits for the network: nothing listens on port 8080, connects to 10.0.0.5:5432"
         " and gets no answer and asks the name server 8.8.8.8:53")),
        (late(HANGS), Cause.SILENT, "takes the connection and never answers /ping (9 times"),
        (late(answer(outcome=Outcome.BROKEN)), Cause.NOT_HTTP, "not HTTP"),
        (late(answer(404, body=b"404 Not Found"), hint="GET /health answers 200"),
         Cause.CLIENT_ERROR, "/ping answers 404: Not Found (9 times since 0.5 s); GET /health"),
        (late(answer(302, location="/in")), Cause.REDIRECT, "/ping answers 302, Location: /in"),
        (late(answer(500, body=b"KeyError: 'x'")), Cause.SERVER_ERROR,
         "/ping answers 500: KeyError: 'x' (9 times"),
        (late(answer(503), connecting=(PEER,)), Cause.SERVER_ERROR,
         "; it connects to 10.0.0.5:5432 and gets no answer"),
        (late(answer(204)), Cause.OTHER_STATUS, "/ping answers 204, without a body"),
    ],
)  # fmt: skip
def test_each_cause_is_told_from_its_evidence(report, cause, words):
    assert report.cause is cause
    assert words in report.describe()


def test_the_ping_that_the_end_of_the_window_cut_short_is_no_evidence():
    cut = answer(outcome=Outcome.TIMEOUT, seconds=0.02, times=1)
    assert late(answer(404), cut).cause is Cause.CLIENT_ERROR
    assert late(RESET, cut).cause is Cause.NOT_LISTENING
    assert late(RESET, answer(outcome=Outcome.TIMEOUT, seconds=1.9, times=1)).cause is Cause.SILENT


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"<html><title>404 Not Found</title><h1>Not Found</h1>", "text/html", "404: Not Found"),
        (b"<p>no &amp; never</p><script>alert(1)</script>", "text/html", "404: no & never"),
        (b'{"detail":"Not Found"}', "application/json", '404: {"detail":"Not Found"}'),
        (b"404", "text/plain", "404"),
        (b"", "text/plain", "404, without a body"),
        (b"\xff\xfe\x00\x1b[31m", "text/plain", "404: "),
    ],
)
def test_a_page_is_told_as_a_person_reads_it(body, kind, words):
    told = answer_words(answer(404, body=body, **{"content-type": kind}).reply)
    assert told.startswith(words)
    assert told.isprintable()


# -- what to do about it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (dead(1, TRACEBACK), "the module joblib"),
        (dead(1, "ImportError: libgomp.so.1: cannot open shared object file: No such file"),
         "libgomp.so.1"),
        (dead(1, "ImportError: libcuda.so.1: cannot open shared object file"), "no GPU"),
        (dead(1, "RuntimeError: Found no NVIDIA driver on your system."), "no GPU"),
        (dead(1, "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/model/m.pkl'"),
         "--model-data"),
        (dead(1, "[Errno 98] Address already in use"), "one server only"),
        (dead(1, "MemoryError"), "more memory"),
        (dead(1, "exec x: exec format error"), "--platform linux/amd64"),
        (dead(137, oom_kills=1), "more memory"),
        (late(connecting=(PEER,)), "into the image"),
        (late(HANGS), "/ping"),
        (late(answer(404)), "route for GET /ping"),
        (late(answer(401)), "login"),
        (late(answer(500)), "traceback"),
    ],
)  # fmt: skip
def test_the_fix_is_that_of_the_cause(report, words):
    assert words in fix(report)


@pytest.mark.parametrize("report", [dead(1, "it is over"), late(), late(answer(405))])
def test_what_is_not_known_is_left_to_the_check(report):
    assert fix(report) == ""


def test_every_fix_can_be_written():
    for pattern, text in BY_LINE:
        assert text.format(*("it" for _ in range(pattern.groups)))


# -- what the kernel tells ------------------------------------------------------------------------

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def test_a_connection_that_nobody_takes_is_read_from_the_kernels_table():
    table = (
        HEAD
        + "   0: 020011AC:A2C4 0500000A:1538 02 00000001:00000000 01:00000064 00000002     0\n"
        + "   1: 020011AC:A2C6 0600000A:1538 01 00000000:00000000 00:00000000 00000000     0\n"
        + "   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
        + "   3: gibberish zz 02\n"
    )
    assert parse_connecting(table, "02") == [PEER]


def test_an_address_of_ipv4_in_ipv6_is_known_as_loopback():
    line = "0: 0000000000000000FFFF00000100007F:1F90 " + "0" * 32 + ":0000 0A"
    assert parse_sockets(line) == [Socket(address="::ffff:127.0.0.1", port=8080)]
    assert late(listening=tuple(parse_sockets(line))).cause is Cause.ELSEWHERE


@given(st.text())
def test_any_other_text_has_no_peers(text):
    assert all(isinstance(s, Socket) for s in parse_connecting(text, "02"))
