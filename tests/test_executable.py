"""The search for what `docker run IMAGE serve` executes, against images that are dictionaries, and
against the real kernel where it has the last word.
"""

from __future__ import annotations

import errno
import os
import posixpath
import struct
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contract_tests.exec_findings import SENTENCES
from contract_tests.exec_formats import (
    MACHINES,
    WRAPPERS,
    Fit,
    Machine,
    Operand,
    fit,
    parse_elf,
    parse_interpreter,
    parse_shebang,
    parse_wrapper,
)
from contract_tests.executable import (
    DOCKER_PATH,
    Form,
    Origin,
    Problem,
    Resolution,
    Status,
    resolve,
)
from contract_tests.image_paths import Tree
from emulator.engines import FileEntry, FileKind, ImageInfo

T = TypeVar("T")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel itself")

GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """A fake never waits, so no event loop is needed."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("something was awaited that is not there at once")


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class File:
    head: bytes = b""
    mode: int = 0o755


Paths: TypeAlias = Mapping[str, Link | File | int]


@dataclass
class FakeFiles:
    """An image's files: `Link`, `File`, or the mode of a directory; parents come by themselves."""

    paths: Paths
    asked: list[str] = field(default_factory=list)

    async def lookup(self, path: str) -> FileEntry | None:
        assert path.startswith("/")
        assert path == posixpath.normpath(path) != "/"
        self.asked.append(path)
        found = self.paths.get(path)
        if found is None:
            if not any(known.startswith(path + "/") for known in self.paths):
                return None
            found = 0o755
        match found:
            case Link(target):
                return FileEntry(path=path, kind=FileKind.SYMLINK, mode=0o777, link_target=target)
            case File(head, mode):
                return FileEntry(path=path, kind=FileKind.FILE, mode=mode, head=head)
            case mode:
                return FileEntry(path=path, kind=FileKind.DIRECTORY, mode=mode)

    async def close(self) -> None: ...


@dataclass
class DirectoryFiles:
    """A real directory as the root of an image."""

    root: Path

    async def lookup(self, path: str) -> FileEntry | None:
        real = self.root / path.removeprefix("/")
        if real.is_symlink():
            target = str(real.readlink()).replace(str(self.root), "") or "/"
            return FileEntry(path=path, kind=FileKind.SYMLINK, mode=0o777, link_target=target)
        if not real.exists():
            return None
        kind = FileKind.DIRECTORY if real.is_dir() else FileKind.FILE
        return FileEntry(path=path, kind=kind, mode=real.stat().st_mode & 0o777)

    async def close(self) -> None: ...


def image(
    *,
    entrypoint: tuple[str, ...] = (),
    path: str | None = None,
    working_dir: str = "",
    architecture: str = "amd64",
) -> ImageInfo:
    return ImageInfo(
        reference="it:latest",
        id="sha256:0",
        digest=None,
        os="linux",
        architecture=architecture,
        size_bytes=0,
        entrypoint=entrypoint,
        cmd=("python3",),
        environment={} if path is None else {"PATH": path},
        user="",
        working_dir=working_dir,
        labels={},
        push_media_type="",
        push_media_type_from="",
    )


def elf(machine: Machine = MACHINES["amd64"], loader: str = GLIBC, kind: int = 3) -> bytes:
    """The head of a program, as small as the format allows."""
    wide, order = machine.bits == 64, "<" if machine.little_endian else ">"
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if machine.little_endian else 2, 1]) + bytes(9)
    size, entry = (64, 56) if wide else (52, 32)
    text = loader.encode() + b"\0"
    head = struct.pack(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
        *(kind, machine.number, 1, 0, size, 0, 0, size, entry, 2 if loader else 1, 0, 0, 0),
    )
    load = struct.pack(order + ("IIQQQQQQ" if wide else "IIIIIIII"), 1, *[0] * 7)
    where = size + 2 * entry
    if wide:
        fields = (3, 4, where, where, where, len(text), len(text), 1)
    else:
        fields = (3, where, where, where, len(text), len(text), 4, 1)
    interp = struct.pack(order + ("IIQQQQQQ" if wide else "IIIIIIII"), *fields)
    return ident + head + load + (interp + text if loader else b"")


DEBIAN: Paths = {
    "/bin": Link("usr/bin"),
    "/lib": Link("usr/lib"),
    "/lib64": Link("usr/lib64"),
    "/usr/lib64/ld-linux-x86-64.so.2": Link("../lib/x86_64-linux-gnu/ld.so"),
    "/usr/lib/x86_64-linux-gnu/ld.so": File(elf(loader="")),
    "/usr/bin/env": File(elf()),
    "/usr/bin/bash": File(elf()),
    "/usr/bin/dash": File(elf()),
    "/usr/bin/sh": Link("dash"),
    "/usr/bin/perl": File(elf()),
    "/usr/bin/python3": Link("python3.11"),
    "/usr/bin/python3.11": File(elf()),
    "/usr/bin/tini": File(elf()),
    "/tmp": 0o777,
}
PROGRAM = "/opt/program/serve"
TEMPLATE_PATH = "/opt/program:/usr/bin:/bin"


def run(
    files: Paths,
    *entrypoint: str,
    path: str | None = TEMPLATE_PATH,
    working_dir: str = "",
    architecture: str = "amd64",
    command: tuple[str, ...] = ("serve",),
) -> Resolution:
    told = image(
        entrypoint=entrypoint, path=path, working_dir=working_dir, architecture=architecture
    )
    return at_once(resolve(told, FakeFiles({**DEBIAN, **files}), command))


def script(text: bytes, **how: Any) -> Resolution:
    return run({PROGRAM: File(text)}, **how)


# Who is executed.


def test_without_entrypoint_the_command_is_searched_along_path() -> None:
    found = script(b"#!/bin/bash\n")
    assert found.origin is Origin.COMMAND
    assert found.argv == ("serve",)
    assert (found.status, found.path, found.mode) == (Status.FOUND, PROGRAM, 0o755)
    assert found.text == ""
    assert (found.problems, found.doubts, found.elsewhere) == ((), (), ())


def test_the_command_follows_the_entrypoint() -> None:
    found = run({"/app/run": File(elf())}, "/app/run", "--fast")
    assert found.origin is Origin.ENTRYPOINT
    assert found.argv == ("/app/run", "--fast", "serve")
    assert found.argv0 == "/app/run"
    assert found.status is Status.FOUND


def test_an_image_without_path_gets_docker_s() -> None:
    found = run({"/usr/local/bin/serve": File(b"#!/bin/sh\n")}, path=None)
    assert found.search_path == DOCKER_PATH
    assert found.path == "/usr/local/bin/serve"


def test_an_empty_path_finds_nothing() -> None:
    assert run({"/serve": File(elf())}, path="").status is Status.ABSENT


def test_a_name_with_a_slash_is_not_searched_but_relative_to_workdir() -> None:
    found = run({"/app/bin/go": File(elf())}, "bin/go", working_dir="/app", path="/app")
    assert (found.status, found.path) == (Status.FOUND, "/app/bin/go")
    assert run({"/app/bin/go": File(elf())}, "./go", path="/app/bin").status is Status.ABSENT


def test_a_file_without_the_execute_bit_is_passed_over() -> None:
    files = {"/a/serve": File(elf(), 0o644), "/b/serve": File(elf())}
    assert run(files, path="/a:/b").path == "/b/serve"
    assert run({**files, "/a/serve": 0o755}, path="/a:/b").path == "/b/serve"


NOT_FOUND = 'exec: "serve": executable file not found in $PATH'


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({}, Status.ABSENT),
        ({PROGRAM: File(b"#!/bin/sh\n", 0o644)}, Status.NOT_EXECUTABLE),
        ({PROGRAM: 0o755}, Status.IS_DIRECTORY),
        ({PROGRAM: Link("serve.py")}, Status.BROKEN_LINK),
        ({PROGRAM: Link("serve")}, Status.LINK_LOOP),
        ({"/opt/program": File()}, Status.ABSENT),
    ],
)
def test_whatever_is_wrong_along_path_docker_prints_one_text(files: Paths, status: Status) -> None:
    """Failures 3.7: https://github.com/aws/amazon-sagemaker-examples/issues/628"""
    found = run(files)
    assert found.status is status
    assert NOT_FOUND in found.text
    assert found.chain == ()


@pytest.mark.parametrize(
    ("files", "status", "prints"),
    [
        ({}, Status.ABSENT, f"stat {PROGRAM}: no such file or directory"),
        ({PROGRAM: File(b"", 0o644)}, Status.NOT_EXECUTABLE, "permission denied"),
        ({PROGRAM: 0o755}, Status.IS_DIRECTORY, "permission denied"),
        ({PROGRAM: Link("/gone")}, Status.BROKEN_LINK, "no such file or directory"),
        ({PROGRAM: Link("serve")}, Status.LINK_LOOP, "too many levels of symbolic links"),
        ({"/opt/program": File()}, Status.NOT_A_DIRECTORY, f"stat {PROGRAM}: not a directory"),
    ],
)
def test_an_entrypoint_with_a_path_has_docker_s_text_for_each_fault(
    files: Paths, status: Status, prints: str
) -> None:
    found = run(files, PROGRAM)
    assert found.status is status
    assert f'exec: "{PROGRAM}": ' in found.text
    assert prints in found.text


def test_a_file_in_a_usual_place_is_a_hint() -> None:
    """A multi-stage build lost PATH: https://github.com/aws/amazon-sagemaker-examples/issues/744"""
    files = {"/src/serve": File(elf()), "/opt/program/serve": File(elf(), 0o644)}
    found = run(files, path="/usr/bin", working_dir="/src")
    assert found.status is Status.ABSENT
    assert found.elsewhere == ("/opt/program/serve", "/src/serve")


def test_the_file_itself_is_no_hint() -> None:
    found = run({PROGRAM: File(elf(), 0o644), "/app/serve": Link(PROGRAM)})
    assert found.status is Status.NOT_EXECUTABLE
    assert found.elsewhere == ()


def test_what_the_model_archive_may_bring_is_not_called_absent() -> None:
    found = run({"/opt/ml/model": 0o755}, "/opt/ml/model/code/serve")
    assert found.status is Status.MOUNTED
    assert "running container" in found.text
    assert run({}, "python3", "/opt/ml/model/code/serve.py").problems == ()


@pytest.mark.parametrize(
    ("files", "closed"),
    [
        ({PROGRAM: File(b"#!/bin/sh\n", 0o755)}, ""),
        ({PROGRAM: File(b"#!/bin/sh\n", 0o750)}, "mode 0750"),
        ({PROGRAM: File(b"#!/bin/sh\n", 0o711)}, "mode 0711"),
        ({PROGRAM: File(elf(), 0o711)}, ""),
        ({PROGRAM: Link("/root/serve"), "/root": 0o700, "/root/serve": File(elf())}, "/root has"),
    ],
)
def test_what_keeps_others_out_is_told(files: Paths, closed: str) -> None:
    found = run(files)
    assert closed in found.closed_to_others
    assert found.others_may_execute is (not closed)


def test_a_relative_path_entry_is_a_doubt() -> None:
    """runc built with Go 1.19 or later refuses it, older ones do not."""
    found = run({"/app/bin/serve": File(elf())}, path="bin:/usr/bin", working_dir="/app")
    assert found.status is Status.FOUND
    assert found.problems == ()
    assert [doubt.kind for doubt in found.doubts] == [Problem.RELATIVE_PATH_ENTRY]


def test_no_arguments_at_all_is_no_crash() -> None:
    found = run({}, command=())
    assert (found.argv0, found.status) == ("", Status.ABSENT)


# What is wrong with it.

NO_SUCH = f"exec {PROGRAM}: no such file or directory"
FORMAT = f"exec {PROGRAM}: exec format error"
BOM = b"\xef\xbb\xbf"

SCRIPTS: list[tuple[bytes, Problem | None, str]] = [
    (b"#!/bin/bash\n", None, ""),
    (b"#! /bin/bash -e \n", None, ""),
    (b"#!/usr/bin/env python3\n", None, ""),
    (b"#!/usr/bin/env -S python3 -u\n", None, ""),
    (b"#!/usr/bin/env -S PYTHONUNBUFFERED=1 python3 -u\n", None, ""),
    (b"#!/usr/bin/env -S python3 -u\r\nprint(1)\r\n", None, ""),  # -S drops it, Python copes
    (b"#!/usr/bin/env -i python3\n", None, ""),  # wrong, but env's options are not all ours
    (b"#!/bin/bash\r\n", Problem.CARRIAGE_RETURN, NO_SUCH),
    (b"#!/usr/bin/python3 -u\r\n", Problem.CARRIAGE_RETURN, ""),
    (b"#!/usr/bin/python3 \r\n", Problem.CARRIAGE_RETURN, ""),
    (b"#!/bin/bash -e\r\n", Problem.CARRIAGE_RETURN, ""),
    (
        b"#!/usr/bin/env python\r\n",
        Problem.CARRIAGE_RETURN,
        r"/usr/bin/env: 'python\r': No such file or directory",
    ),
    (BOM + b"#!/bin/bash\n", Problem.BYTE_ORDER_MARK, FORMAT),
    (b"\xff\xfe#\0!\0", Problem.BYTE_ORDER_MARK, FORMAT),
    (b"import flask\n", Problem.NO_SHEBANG, FORMAT),
    (b"\n#!/bin/bash\n", Problem.NO_SHEBANG, FORMAT),
    (b"", Problem.EMPTY_FILE, FORMAT),
    (b"#!\n", Problem.NO_INTERPRETER, FORMAT),
    (b"#!" + b"/a" * 200 + b"\n", Problem.LINE_TOO_LONG, FORMAT),
    (b"#!/usr/local/bin/python\n", Problem.INTERPRETER_ABSENT, NO_SUCH),
    (b"#!bash\n", Problem.INTERPRETER_ABSENT, NO_SUCH),
    (b"#!/tmp\n", Problem.INTERPRETER_NOT_EXECUTABLE, f"exec {PROGRAM}: permission denied"),
    (
        b"#!/usr/bin/env python\n",
        Problem.NAME_ABSENT,
        "/usr/bin/env: 'python': No such file or directory",
    ),
    (
        b"#!/usr/bin/env python3 -u\n",
        Problem.NAME_ABSENT,
        "/usr/bin/env: 'python3 -u': No such file or directory",
    ),
    (b"#!/usr/bin/env tmp\n", Problem.NAME_ABSENT, ""),
    (
        b"#!/opt/program/serve\n",
        Problem.RECURSION,
        f"exec {PROGRAM}: too many levels of symbolic links",
    ),
    (b"#!/usr/bin/env serve\n", Problem.RECURSION, ""),
    (b"#!/usr/bin/env\n", Problem.RECURSION, ""),
    (b"#!/usr/bin/env PYTHONUNBUFFERED=1 python3\n", Problem.RECURSION, ""),
]


@pytest.mark.parametrize(("text", "problem", "prints"), SCRIPTS, ids=lambda v: repr(v)[:40])
def test_a_script_s_first_line_is_judged(text: bytes, problem: Problem | None, prints: str) -> None:
    """Failures 3.22: https://github.com/aws/amazon-sagemaker-examples/issues/571"""
    found = script(text)
    assert found.status is Status.FOUND
    assert [trouble.kind for trouble in found.problems] == ([problem] if problem else [])
    assert found.doubts == ()
    assert all(prints in trouble.prints for trouble in found.problems)
    assert all(PROGRAM in trouble.text for trouble in found.problems)
    if problem is None:
        assert found.chain[-1].form is Form.PROGRAM


def test_the_chain_names_each_file() -> None:
    chain = script(b"#!/usr/bin/env python3\n").chain
    assert [(step.path, step.resolved, step.form) for step in chain] == [
        (PROGRAM, PROGRAM, Form.SCRIPT),
        ("/usr/bin/env", "/usr/bin/env", Form.PROGRAM),
        ("/usr/bin/python3", "/usr/bin/python3.11", Form.PROGRAM),
    ]
    assert chain[0].line == b"#!/usr/bin/env python3"
    assert (chain[0].interpreter, chain[0].argument) == ("/usr/bin/env", "python3")
    assert chain[1].elf is not None
    assert chain[1].elf.loader == GLIBC


def test_a_virtual_environment_s_interpreter_is_followed() -> None:
    files: Paths = {
        "/venv/bin/gunicorn": File(b"#!/venv/bin/python\n"),
        "/venv/bin/python": Link("python3"),
        "/venv/bin/python3": Link("/usr/bin/python3"),
    }
    found = run(files, "gunicorn", path="/venv/bin:/usr/bin")
    assert found.problems == ()
    assert found.chain[-1].resolved == "/usr/bin/python3.11"
    gone = run(
        {**files, "/venv/bin/python3": Link("/usr/local/bin/python3")}, "gunicorn", path="/venv/bin"
    )  # a stage copied without its base
    assert [p.kind for p in gone.problems] == [Problem.INTERPRETER_ABSENT]


@pytest.mark.parametrize(("scripts", "endless"), [(5, False), (6, True)])
def test_five_scripts_in_a_row_are_the_kernel_s_limit(
    scripts: int, endless: bool, tmp_path: Path
) -> None:
    files = {f"/s/{i}": File(f"#!/s/{i + 1}\n".encode()) for i in range(scripts)}
    found = run({**files, f"/s/{scripts}": File(elf())}, "/s/0")
    assert [p.kind for p in found.problems] == ([Problem.RECURSION] if endless else [])
    if sys.platform == "linux":
        for i in range(scripts):
            real = tmp_path / str(i)
            target = tmp_path / str(i + 1) if i + 1 < scripts else Path("/bin/true")
            real.write_text(f"#!{target}\n")
            real.chmod(0o755)
        assert (refusal(tmp_path / "0") == errno.ELOOP) is endless


def refusal(program: Path) -> int | None:
    try:
        subprocess.run([str(program)], check=False, capture_output=True, timeout=20)
    except OSError as error:
        return error.errno
    return None


SIMILAR = f"exec {PROGRAM}: "


@pytest.mark.parametrize(
    ("head", "architecture", "problem", "prints"),
    [
        (elf(), "amd64", None, ""),
        (elf(loader=""), "amd64", None, ""),
        (elf(MACHINES["arm64"], loader="/lib/ld-linux-aarch64.so.1"), "amd64",
         Problem.WRONG_MACHINE, "exec format error"),
        (elf(loader=""), "arm64", Problem.WRONG_MACHINE, "exec format error"),
        (elf(MACHINES["s390x"], loader=""), "ppc64le", Problem.WRONG_MACHINE, "exec format error"),
        (elf(loader=MUSL), "amd64", Problem.LOADER_ABSENT, "no such file or directory"),
        (elf(loader="/opt/noexec"), "amd64", Problem.LOADER_NOT_EXECUTABLE, "permission denied"),
        (elf()[:12], "amd64", Problem.MALFORMED_ELF, "exec format error"),
        (elf(kind=1), "amd64", Problem.MALFORMED_ELF, "exec format error"),
        (elf(loader=""), "sparc", None, ""),
    ],
)  # fmt: skip
def test_a_program_is_judged(
    head: bytes, architecture: str, problem: Problem | None, prints: str
) -> None:
    """Failures 3.10: https://github.com/aws-samples/amazon-sagemaker-custom-container/issues/3"""
    files = {PROGRAM: File(head), "/opt/noexec": File(b"", 0o644)}
    found = run(files, architecture=architecture)
    assert [trouble.kind for trouble in found.problems] == ([problem] if problem else [])
    assert [trouble.prints for trouble in found.problems] == ([SIMILAR + prints] if problem else [])


def test_an_interpreter_for_another_machine_is_the_script_s_format_error() -> None:
    arm = File(elf(MACHINES["arm64"], loader=""))
    found = run({PROGRAM: File(b"#!/opt/py\n"), "/opt/py": arm})
    assert [(p.kind, p.path, p.prints) for p in found.problems] == [
        (Problem.WRONG_MACHINE, "/opt/py", FORMAT)
    ]
    assert "arm64" in found.problems[0].text


def test_a_32_bit_program_is_a_doubt_on_its_64_bit_machine() -> None:
    found = script(elf(MACHINES["386"], loader=""))
    assert found.problems == ()
    assert [doubt.kind for doubt in found.doubts] == [Problem.WRONG_MACHINE]


# What it is given to read or to run.


@pytest.mark.parametrize(
    ("entrypoint", "problem", "prints"),
    [
        (("python3", "/app/serve.py"), None, ""),
        (("python3", "-u", "-W", "ignore", "serve.py"), None, ""),
        (("python3", "-m", "server"), None, ""),
        (("python3", "-c", "import server"), None, ""),
        (("sh", "-c", "python app.py"), None, ""),
        (("/bin/bash", "-euo", "pipefail", "start.sh"), None, ""),
        (("bash", "start.sh"), None, ""),
        (("bash", "on-path.sh"), None, ""),  # bash searches PATH, dash does not
        (("tini", "--", "/app/serve.py"), None, ""),
        (("tini", "-g", "--", "python3", "serve.py"), None, ""),
        (("python3",), Problem.SCRIPT_ABSENT,
         "python3: can't open file '/app/serve': [Errno 2] No such file or directory"),
        (("python3", "app.py"), Problem.SCRIPT_ABSENT, "can't open file '/app/app.py'"),
        (("bash", "gone.sh"), Problem.SCRIPT_ABSENT,
         "bash: gone.sh: No such file or directory"),
        (("sh", "on-path.sh"), Problem.SCRIPT_ABSENT,
         "sh: 0: cannot open on-path.sh: No such file"),
        (("bash", "/tmp"), Problem.SCRIPT_IS_DIRECTORY, "bash: /tmp: Is a directory"),
        (("bash", "/usr/bin/perl"), Problem.SCRIPT_IS_BINARY, ""),
        (("tini",), Problem.NAME_ABSENT, ""),
        (("tini", "--", "noexec"), Problem.NAME_ABSENT, ""),
        (("tini", "--", "./noexec"), Problem.NAME_NOT_EXECUTABLE, "Permission denied"),
        (("env", "python"), Problem.NAME_ABSENT, "env: 'python': No such file or directory"),
    ],
)  # fmt: skip
def test_the_argument_that_is_read_or_run_is_looked_at(
    entrypoint: tuple[str, ...], problem: Problem | None, prints: str
) -> None:
    """Failures 3.14: https://github.com/vllm-project/vllm/issues/11557"""
    files = {
        "/app/serve.py": File(b"#!/usr/bin/env python3\n"),
        "/app/start.sh": File(b"exec python3 serve.py\n", 0o644),
        "/usr/bin/on-path.sh": File(b"true\n"),
        "/app/noexec": File(b"#!/bin/sh\n", 0o644),
    }
    found = run(files, *entrypoint, working_dir="/app")
    assert [trouble.kind for trouble in found.problems] == ([problem] if problem else [])
    assert found.doubts == ()
    assert all(prints in trouble.prints for trouble in found.problems)


def test_carriage_returns_in_a_script_that_a_shell_reads_are_a_doubt() -> None:
    files = {"/app/s": File(b"#!/bin/bash\r\n\r\nexec serve\r\n", 0o644)}
    for shell in ("sh", "bash", "dash", "/bin/bash"):
        found = run(files, shell, "/app/s")
        assert found.problems == ()
        assert [(d.kind, d.path) for d in found.doubts] == [(Problem.CARRIAGE_RETURN, "/app/s")]
        assert found.chain[-1].form is Form.READ
    assert run(files, "python3", "/app/s").doubts == ()


def test_carriage_returns_in_comments_and_empty_lines_do_no_harm() -> None:
    files = {"/app/s": File(b"#!/bin/bash\r\n\r\n  # hello\r\nexec serve\n")}
    assert run(files, "bash", "/app/s").doubts == ()


def test_a_wrapper_s_c_library_may_give_a_strange_file_to_the_shell() -> None:
    found = run({PROGRAM: File(b"exec python3 serve.py\n")}, "tini", "--")
    assert found.problems == ()
    assert [doubt.kind for doubt in found.doubts] == [Problem.NO_SHEBANG]


def test_busybox_env_may_not_split() -> None:
    files: Paths = {
        "/usr/bin/env": Link("/usr/bin/busybox"),
        "/usr/bin/busybox": File(elf(loader="")),
        PROGRAM: File(b"#!/usr/bin/env -S python3 -u\n"),
    }
    assert [doubt.kind for doubt in run(files).doubts] == [Problem.SPLIT_UNSUPPORTED]


def test_a_carriage_return_in_the_argument_of_another_interpreter_is_a_doubt() -> None:
    found = script(b"#!/usr/bin/perl -w\r\n")
    assert found.problems == ()
    assert [(d.kind, d.path) for d in found.doubts] == [(Problem.CARRIAGE_RETURN, PROGRAM)]


def test_every_problem_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Problem)
    assert len({problem.value for problem in Problem}) == len(Problem)


def test_no_path_is_asked_for_twice() -> None:
    files = FakeFiles({**DEBIAN, PROGRAM: File(b"#!/usr/bin/env python3\n")})
    at_once(resolve(image(path="/opt/program:/usr/bin"), files))
    assert sorted(files.asked) == sorted(set(files.asked))


# Against models and the kernel.

NAMES = ["a", "b", "c"]
parts = st.sampled_from([*NAMES, "..", ".", ""])
relative = st.lists(parts, min_size=1, max_size=5).map("/".join).filter(lambda p: p != "")
targets = st.tuples(st.booleans(), relative).map(lambda t: "/" + t[1] if t[0] else t[1])
nodes = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple),
        st.one_of(st.none(), st.just(b""), targets),
    ),
    max_size=12,
)
STATUS_OF = {
    errno.ENOENT: {Status.ABSENT, Status.BROKEN_LINK},
    errno.ELOOP: {Status.LINK_LOOP},
    errno.ENOTDIR: {Status.NOT_A_DIRECTORY},
}


def grow(root: Path, built: list[tuple[tuple[str, ...], bytes | str | None]]) -> None:
    """A directory for None, a file for bytes, a link for text; what does not fit is left out."""
    for where, what in built:
        path = root.joinpath(*where)
        inside = path.parent.resolve().is_relative_to(root) if path.parent.exists() else False
        if not inside or path.exists() or path.is_symlink():
            continue
        if what is None:
            path.mkdir()
        elif isinstance(what, bytes):
            path.write_bytes(what)
        elif path.parent.is_dir():
            path.symlink_to(str(root) + what if what.startswith("/") else what)


@settings(max_examples=300, deadline=None)
@given(built=nodes, asked=relative)
def test_links_lead_where_the_kernel_says(
    built: list[tuple[tuple[str, ...], bytes | str | None]], asked: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        grow_safely(root, built)
        place = at_once(Tree(DirectoryFiles(root)).walk("/" + asked))
        try:
            os.stat(f"{root}/{asked}")  # noqa: PTH116 - Path would tidy the path up
        except OSError as error:
            wanted = STATUS_OF[error.errno or 0]
            real = os.path.realpath(f"{root}/{asked}")
            assume(real.startswith(f"{root}/"))  # out of the root is out of the comparison
            assert place.status in wanted
        else:
            real = os.path.realpath(f"{root}/{asked}")
            assume(real == str(root) or real.startswith(f"{root}/"))
            assert place.path == (real.removeprefix(str(root)) or "/")
            is_directory = place.status is Status.IS_DIRECTORY
            assert is_directory is Path(real).is_dir()


def grow_safely(root: Path, built: list[tuple[tuple[str, ...], bytes | str | None]]) -> None:
    for node in built:
        try:
            grow(root, [node])
        except OSError:  # through a file, or round a loop
            continue


def test_links_stay_inside_the_image() -> None:
    files: Paths = {"/app/serve": Link("../../../../../opt/real"), "/opt/real": File(elf())}
    assert run(files, "/app/serve").path == "/opt/real"
    assert run({**files, "/x": Link("/../..")}, "/x/opt/real").path == "/opt/real"


@pytest.mark.parametrize("links", [40, 41])
def test_forty_links_are_followed_as_the_kernel_does(links: int, tmp_path: Path) -> None:
    (tmp_path / "0").write_text("")
    (tmp_path / "0").chmod(0o755)
    for i in range(links):
        (tmp_path / str(i + 1)).symlink_to(str(i))
    place = at_once(Tree(DirectoryFiles(tmp_path)).walk(f"/{links}"))
    assert place.status is (Status.FOUND if links <= 40 else Status.LINK_LOOP)
    if sys.platform == "linux":
        assert (refusal_of_stat(tmp_path / str(links)) == errno.ELOOP) is (links > 40)


def refusal_of_stat(path: Path) -> int | None:
    try:
        path.stat()
    except OSError as error:
        return error.errno
    return None


@pytest.fixture(scope="module")
def show() -> Iterator[Path]:
    """An interpreter that prints its arguments, at a short path."""
    with tempfile.TemporaryDirectory(prefix="b") as directory:
        program = Path(directory) / "show"
        program.write_text('#!/bin/sh\nprintf "%s\\037" "$@"\n')
        program.chmod(0o755)
        yield program


blanks = st.text(" \t", max_size=3)
tails = st.one_of(
    st.text(" \tab-\r\0", max_size=8),
    st.tuples(st.integers(200, 260), st.sampled_from(["a", " ", "a b", " a"])).map(
        lambda t: (t[1] * t[0])[: t[0]]
    ),
)


@on_linux
@settings(max_examples=120, deadline=None)
@given(before=blanks, name=st.booleans(), tail=tails, end=st.sampled_from(["\n", "", "\nx\n"]))
def test_the_kernel_reads_a_first_line_as_we_do(
    show: Path, before: str, name: bool, tail: str, end: str
) -> None:
    program = show.with_name("script")
    text = f"#!{before}{show if name else ''}{tail}{end}".encode()
    program.write_bytes(text)
    program.chmod(0o755)
    told = parse_shebang(text)
    assert told is not None
    try:
        ran = subprocess.run([str(program)], check=False, capture_output=True, timeout=20)
        got: list[str] | int | None = ran.stdout.decode().split("\x1f")[:-1]
    except OSError as error:
        got = error.errno
    if told.interpreter is None:
        assert got == errno.ENOEXEC
    elif told.interpreter == str(show):
        assert got == [*([] if told.argument is None else [told.argument]), str(program)]
    else:
        assert got in (errno.ENOENT, errno.EACCES)


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda b: b"#!" + b)))
def test_any_bytes_are_a_first_line_or_none(head: bytes) -> None:
    told = parse_shebang(head)
    assert (told is None) is (head[:2] != b"#!")
    if told is not None:
        assert b"\n" not in told.line
        assert told.interpreter is None or not {" ", "\t", "\n", "\0"} & set(told.interpreter)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2]), st.binary(max_size=300)).map(
            lambda t: b"\x7fELF" + bytes(t[:2]) + t[2]
        ),
    )
)
def test_any_bytes_are_a_program_or_none(head: bytes) -> None:
    told = parse_elf(head)
    if told is not None:
        assert head.startswith(b"\x7fELF")
        assert all(isinstance(fit(told, name), Fit) for name in MACHINES)


@given(
    machine=st.sampled_from(sorted(MACHINES)),
    loader=st.sampled_from(["", GLIBC, MUSL]),
    cut=st.integers(0, 200),
)
def test_a_cut_head_loses_the_loader_but_invents_none(machine: str, loader: str, cut: int) -> None:
    whole = elf(MACHINES[machine], loader)
    told = parse_elf(whole[:cut])
    if told is None:
        assert cut < 20
        return
    assert told.name == machine
    assert told.loader in ({loader} if cut >= len(whole) else {loader, None})


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_a_machine_fits_its_own_architecture(name: str) -> None:
    told = parse_elf(elf(MACHINES[name]))
    assert told is not None
    assert (told.name, told.loader) == (name, GLIBC)
    assert fit(told, name) is Fit.YES
    others = {other: fit(told, other) for other in MACHINES if other != name}
    perhaps = {"386": "amd64", "arm": "arm64"}.get(name)
    assert others == {other: Fit.PERHAPS if other == perhaps else Fit.NO for other in others}


@on_linux
def test_this_machine_s_own_programs_are_read() -> None:
    told = parse_elf(Path(sys.executable).resolve().read_bytes()[:4096])
    assert told is not None
    assert told.is_program
    assert told.loader is not None
    assert told.loader == "" or Path(told.loader).exists()


WORDS = st.lists(
    st.sampled_from(
        ["-S", "-i", "-u", "PATH", "--", "-", "-c", "-o", "A=b", "PATH=/x", "python3", "a b", "'",
         "-S 'x", "-vS y", "-W", "-Xdev", "+x", "-\r", ""]
    ),
    max_size=6,
)  # fmt: skip


@given(words=WORDS)
def test_any_arguments_are_understood_or_given_up(words: list[str]) -> None:
    for name in WRAPPERS:
        wrapped = parse_wrapper(name, words, "/usr/bin")
        assert wrapped is None or wrapped.argv
    for name in ("bash", "python3"):
        operand = parse_interpreter(name, words)
        assert operand is None or isinstance(operand, Operand)


@on_linux
@pytest.mark.parametrize("argument", ["-S printf x", "-S printf x\r", "-S A=1 printf x"])
def test_env_runs_what_we_say(argument: str, tmp_path: Path) -> None:
    """GNU env, asked through a first line as people do."""
    program = tmp_path / "s"
    program.write_bytes(f"#!/usr/bin/env {argument}\n".encode())
    program.chmod(0o755)
    wrapped = parse_wrapper("env", [argument, str(program)], os.environ["PATH"])
    ran = subprocess.run([str(program)], check=False, capture_output=True, text=True, timeout=20)
    if wrapped is not None and wrapped.argv[0] == "printf":
        assert (ran.returncode, ran.stdout) == (0, "x")
    else:
        assert ran.returncode in {125, 126, 127}


names = st.sampled_from(["serve", "/opt/program/serve", "./s", "sh", "python3", "env", "tini"])
heads = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([text for text, _, _ in SCRIPTS] + [elf(), elf(loader=MUSL)]),
)


@settings(max_examples=200, deadline=None)
@given(
    entrypoint=st.lists(st.one_of(names, st.text(max_size=5)), max_size=4).map(tuple),
    head=heads,
    mode=st.sampled_from([0o755, 0o644, 0o711]),
    path=st.one_of(st.none(), st.sampled_from(["", ":", TEMPLATE_PATH, "bin:.:/opt/program"])),
)
def test_every_image_has_an_answer(
    entrypoint: tuple[str, ...], head: bytes, mode: int, path: str | None
) -> None:
    found = run({PROGRAM: File(head, mode)}, *entrypoint, path=path)
    assert bool(found.text) is (found.status is not Status.FOUND)
    assert bool(found.chain) is (found.status is Status.FOUND)
    assert all(trouble.text for trouble in (*found.problems, *found.doubts))
