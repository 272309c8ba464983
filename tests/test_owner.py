"""Owns: the claims of emulator/owner.py: nothing of a living run, or of another host, is ever taken
for a leftover. Needs real processes, no engine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import owner
from emulator.clock import wall_clock

# A process that tells who it is and then waits for its end.
OWNER_PROCESS = "from emulator import owner; print(owner.me(), flush=True); input()"
DIRECTORY_PROCESS = (
    "from emulator import owner; print(owner.temporary_directory().path, flush=True); input()"
)


@contextmanager
def process(code: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process, and the line that it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def written(pid: int | str, started: float | str, host: str | None = None) -> str:
    return f"{host or owner.host()}/{pid}/{started}"


def test_i_am_alive() -> None:
    assert owner.alive(owner.me()) is True


def test_another_living_process_of_this_host_is_alive() -> None:
    with process(OWNER_PROCESS) as (child, told):
        assert told != owner.me()
        assert f"/{child.pid}/" in told
        assert owner.alive(told) is True


def test_a_process_that_ended_is_not_alive() -> None:
    with process(OWNER_PROCESS) as (child, told):
        child.kill()
        child.wait()
        assert owner.alive(told) is False


def test_a_killed_process_whose_parent_has_not_asked_yet_is_not_alive() -> None:
    with process(OWNER_PROCESS) as (child, told):
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        assert owner.alive(told) is False


def test_a_pid_that_is_used_again_is_another_owner() -> None:
    started = psutil.Process().create_time()
    assert owner.alive(written(os.getpid(), f"{started - 3600:.2f}")) is False


@pytest.mark.parametrize("shift", [-1.5, 1.5])
def test_a_clock_that_was_set_a_little_makes_no_other_owner(shift: float) -> None:
    started = psutil.Process().create_time()
    assert owner.alive(written(os.getpid(), f"{started + shift:.2f}")) is True


def test_nobody_here_judges_an_owner_of_another_host() -> None:
    _, pid, started = owner.me().rsplit("/", 2)
    assert owner.alive(written(pid, started, host="elsewhere-4026531836")) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "//",
        written("", "1.0"),
        written("x", "1.0"),
        written("-5", "1.0"),
        written("1", "nan"),
        written("1", "inf"),
        written("1", ""),
        written("9" * 30, "1.0"),
        written("1", "9" * 400),
    ],
)
def test_what_is_no_owner_of_our_form_is_judged_by_nobody(text: str) -> None:
    assert owner.alive(text) is None


@given(st.text() | st.text().map(lambda tail: f"{owner.host()}/{tail}"))
def test_only_a_whole_owner_is_ever_called_dead(text: str) -> None:
    if owner.alive(text) is False:
        host, pid, started = text.rsplit("/", 2)
        assert (host, int(pid) >= 0, float(started) >= 0) == (owner.host(), True, True)


def test_a_host_has_no_sign_that_separates_the_parts_of_an_owner_or_of_a_name() -> None:
    assert "/" not in owner.host()
    assert "_" not in owner.host()


def test_labels_tell_the_owner_the_role_and_the_time() -> None:
    labels = owner.labels("check")
    assert labels["byoc.owner"] == owner.me()
    assert labels["byoc.role"] == "check"
    created = datetime.fromisoformat(labels["byoc.created"])
    assert abs(wall_clock() - created) < timedelta(seconds=5)


def test_a_temporary_directory_is_empty_readable_and_goes_with_close(temporary: Path) -> None:
    directory = owner.temporary_directory()
    assert list(directory.path.iterdir()) == []
    assert directory.path.stat().st_mode & 0o005 == 0o005
    assert directory.path.parent.stat().st_mode & 0o005 == 0o005
    (directory.path / "model.bin").write_bytes(b"x")
    directory.close()
    directory.close()
    assert list(temporary.iterdir()) == []


def test_a_sweep_takes_the_directory_of_a_killed_process_and_tells_it(temporary: Path) -> None:
    with process(DIRECTORY_PROCESS) as (child, path):
        Path(path, "model.bin").write_bytes(b"x")
        assert owner.sweep_temporary() == [], "its owner lives"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert owner.sweep_temporary() == [f"directory {Path(path).parent}"]
    assert list(temporary.iterdir()) == []


def test_a_sweep_leaves_what_is_ours_alive_foreign_or_not_a_directory(temporary: Path) -> None:
    mine = owner.temporary_directory()
    dead = written("1", "5.00").replace("/", "_")
    (temporary / "target").mkdir()
    (temporary / f"byoc-{dead}_link").symlink_to(temporary / "target")
    (temporary / f"byoc-{dead}_file").write_text("x")
    (temporary / "byoc-elsewhere-1_1_5.00_abc").mkdir()
    (temporary / "byoc-x_y_z_w").mkdir()
    (temporary / "tmp_1_5.00_abc").mkdir()
    before = sorted(temporary.iterdir())
    assert owner.sweep_temporary() == []
    assert sorted(temporary.iterdir()) == before
    mine.close()
