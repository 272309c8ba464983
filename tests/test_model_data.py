"""Owns: the claims of emulator/model_data.py, on real archives: what the platform takes is
unpacked, everything else is refused with AWS's text and the cure, and then nothing was written.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emulator.errors import Usage
from emulator.model_data import unpack

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"weights", mode: int = 0o644) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = mode
    return info, content


def other(name: str, kind: bytes, link: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.mode = 0o755
    return info, b""


def tar_bytes(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive(directory: Path, content: bytes, name: str = "model.tar.gz") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def written(into: Path) -> dict[str, bytes | None]:
    """All paths below, with a file's content and None for a directory."""
    return {
        str(path.relative_to(into)): None if path.is_dir() else path.read_bytes()
        for path in sorted(into.rglob("*"))
    }


@pytest.fixture
def into(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    return directory


def refusal(tmp_path: Path, into: Path, content: bytes) -> str:
    """The text of the refusal; asserts what is common to all of them."""
    path = archive(tmp_path, content)
    with pytest.raises(Usage) as refused:
        unpack(path, into)
    text = str(refused.value)
    assert str(path) in text
    assert "Failed to extract model data archive" in text
    assert "What to do: " in text
    assert written(into) == {}
    return text


# What is taken


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_plain_files_and_directories_are_unpacked(tmp_path: Path, into: Path, form: int) -> None:
    members = [
        other(".", tarfile.DIRTYPE),
        other("./code", tarfile.DIRTYPE),
        file("./code/inference.py", b"print()"),
        file("model.bin", b"\x00" * 100_000),
        file("deep/er/file", b""),
    ]
    unpack(archive(tmp_path, gzip.compress(tar_bytes(members, form))), into)
    assert written(into) == {
        "code": None,
        "code/inference.py": b"print()",
        "deep": None,
        "deep/er": None,
        "deep/er/file": b"",
        "model.bin": b"\x00" * 100_000,
    }


def test_an_empty_archive_is_an_empty_directory(tmp_path: Path, into: Path) -> None:
    unpack(archive(tmp_path, gzip.compress(tar_bytes([]))), into)
    assert written(into) == {}


def test_the_name_of_the_archive_does_not_matter(tmp_path: Path, into: Path) -> None:
    unpack(archive(tmp_path, gzip.compress(tar_bytes([file("a")])), "artifact.zip"), into)
    assert written(into) == {"a": b"weights"}


def test_an_archive_in_several_gzip_members_is_one(tmp_path: Path, into: Path) -> None:
    whole = tar_bytes([file("a", b"1" * 5000), file("b", b"2" * 5000)])
    packed = gzip.compress(whole[:4000]) + gzip.compress(whole[4000:])
    unpack(archive(tmp_path, packed), into)
    assert written(into) == {"a": b"1" * 5000, "b": b"2" * 5000}


def test_a_long_name_and_a_name_beyond_ascii_are_taken(tmp_path: Path, into: Path) -> None:
    long = "/".join(["d" * 100] * 3) + "/modèle.bin"
    unpack(archive(tmp_path, gzip.compress(tar_bytes([file(long)]))), into)
    assert written(into)[long] == b"weights"


def test_a_set_uid_bit_does_not_reach_this_machine(tmp_path: Path, into: Path) -> None:
    unpack(archive(tmp_path, gzip.compress(tar_bytes([file("a", mode=0o4755)]))), into)
    assert (into / "a").stat().st_mode & 0o7000 == 0


# What is refused


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (other("link", tarfile.SYMTYPE, "model.bin"), "'link' is a symbolic link to 'model.bin'"),
        (other("link", tarfile.SYMTYPE, "/etc"), "'link' is a symbolic link to '/etc'"),
        (other("link", tarfile.LNKTYPE, "model.bin"), "'link' is a hard link to 'model.bin'"),
        (file("/etc/passwd"), "'/etc/passwd' points outside of the archive"),
        (file("../up"), "'../up' points outside of the archive"),
        (file("a/../../up"), "'a/../../up' points outside of the archive"),
        (other("..", tarfile.DIRTYPE), "'..' points outside of the archive"),
        (other("null", tarfile.CHRTYPE), "'null' is a device or a pipe"),
        (other("disk", tarfile.BLKTYPE), "'disk' is a device or a pipe"),
        (other("pipe", tarfile.FIFOTYPE), "'pipe' is a device or a pipe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_one_bad_member_refuses_the_whole_archive(
    tmp_path: Path, into: Path, member: Member, why: str, first: bool
) -> None:
    members = [member, file("model.bin")] if first else [file("model.bin"), member]
    assert why in refusal(tmp_path, into, gzip.compress(tar_bytes(members)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.tar.gz"]


def test_a_link_is_refused_with_the_command_that_packs_the_file(tmp_path: Path, into: Path) -> None:
    link = other("link", tarfile.SYMTYPE, "model.bin")
    text = refusal(tmp_path, into, gzip.compress(tar_bytes([link])))
    assert "tar --dereference --hard-dereference -czf model.tar.gz" in text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not gzip-compressed"),
        (b"\x1f", "it is not gzip-compressed"),
        (tar_bytes([file("a")]), "it is not gzip-compressed"),
        (b"PK\x03\x04zip", "it is not gzip-compressed"),
        (b"\x1f\x8b", "it cannot be unpacked"),
        (b"\x1f\x8b\x08\x00garbage", "it cannot be unpacked"),
        (b"\x1f\x8b\x00\x00" + b"\x00" * 50, "it cannot be unpacked"),
        (gzip.compress(b"no tar at all" * 100), "it cannot be unpacked"),
        (gzip.compress(b""), "it cannot be unpacked"),
    ],
    ids=["empty", "one byte", "plain tar", "zip", "only magic", "garbage", "bad method", "no tar",
         "nothing packed"],
)  # fmt: skip
def test_what_is_no_gzip_tar_is_refused(
    tmp_path: Path, into: Path, content: bytes, why: str
) -> None:
    assert why in refusal(tmp_path, into, content)


WHOLE = gzip.compress(tar_bytes([file("a", bytes(range(256)) * 20), file("b")]), mtime=0)


@pytest.mark.parametrize(
    "kept", sorted({2, 3, 9, 10, 11, *range(12, len(WHOLE), 7), len(WHOLE) - 1})
)
def test_an_archive_that_is_cut_anywhere_is_refused(tmp_path: Path, into: Path, kept: int) -> None:
    assert "it cannot be unpacked" in refusal(tmp_path, into, WHOLE[:kept])


def test_an_archive_with_a_wrong_checksum_is_refused(tmp_path: Path, into: Path) -> None:
    broken = bytearray(WHOLE)
    broken[-8] ^= 0xFF
    assert "it cannot be unpacked" in refusal(tmp_path, into, bytes(broken))


@pytest.mark.parametrize(
    "members",
    [
        [file("a"), file("a/b")],
        [file("first"), file("n" * 300)],
        [file("first"), file(".")],
    ],
    ids=["a file as a directory", "a name too long for a file system", "a file without a name"],
)
def test_what_only_fails_while_it_is_written_leaves_nothing(
    tmp_path: Path, into: Path, members: list[Member]
) -> None:
    assert "it cannot be unpacked" in refusal(tmp_path, into, gzip.compress(tar_bytes(members)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_disk_is_not_the_archives_fault(
    tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(self: tarfile.TarFile, path: str, **arguments: object) -> None:
        (Path(path) / "half").write_bytes(b"written")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    with pytest.raises(Usage, match="The archive is not to blame") as told:
        unpack(archive(tmp_path, WHOLE), into)
    assert os.strerror(number) in str(told.value)
    assert "Failed to extract" not in str(told.value)
    assert written(into) == {}


def test_an_archive_that_is_not_there_is_told(tmp_path: Path, into: Path) -> None:
    with pytest.raises(Usage, match=r"absent.tar.gz cannot be read: No such file or directory"):
        unpack(tmp_path / "absent.tar.gz", into)


def test_a_directory_is_no_archive(tmp_path: Path, into: Path) -> None:
    with pytest.raises(Usage, match="cannot be read: Is a directory"):
        unpack(tmp_path, into)


# Whatever comes


PARTS = st.sampled_from(["a", "b", ".", "..", "", " ", "~", "\\", "c:", "-rf", "é", "\n"])
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join) | st.text(
    st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=20
)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@given(st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=5))
@example([("/tmp/x", tarfile.REGTYPE, "")])
@example([("/", tarfile.DIRTYPE, "")])
@example([("a", tarfile.SYMTYPE, ".."), ("a/b", tarfile.REGTYPE, "")])
def test_no_archive_writes_outside_and_a_refused_one_writes_nothing(
    entries: list[tuple[str, bytes, str]],
) -> None:
    members = [
        file(name) if kind == tarfile.REGTYPE else other(name, kind, link)
        for name, kind, link in entries
    ]
    with tempfile.TemporaryDirectory() as directory:
        outer = Path(directory)
        into = outer / "x" / "model"
        into.mkdir(parents=True)
        path = archive(outer, gzip.compress(tar_bytes(members), compresslevel=1))
        try:
            unpack(path, into)
        except Usage:
            assert written(into) == {}
        else:
            assert all(kind in (tarfile.REGTYPE, tarfile.DIRTYPE) for _, kind, _ in entries)
            # Of a directory's name the last slashes do not count: "/" is the archive's own top.
            told = [n.rstrip("/") if kind == tarfile.DIRTYPE else n for n, kind, _ in entries]
            assert all(not PurePosixPath(name).is_absolute() for name in told)
        assert {str(p.relative_to(outer)) for p in outer.rglob("*") if into not in p.parents} == {
            "model.tar.gz",
            "x",
            "x/model",
        }


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255), st.booleans())
def test_a_damaged_archive_is_unpacked_or_refused_never_a_crash(
    place: int, value: int, inside: bool
) -> None:
    pax = file("p" * 120)
    pax[0].pax_headers = {"mtime": "1.5", "comment": "x"}
    content = bytearray(tar_bytes([file("a", b"1" * 700), pax]) if inside else WHOLE)
    content[place % len(content)] = value
    with tempfile.TemporaryDirectory() as directory:
        into = Path(directory) / "model"
        into.mkdir()
        packed = gzip.compress(bytes(content), compresslevel=1) if inside else bytes(content)
        try:
            unpack(archive(Path(directory), packed), into)
        except Usage as refused:
            assert "What to do: " in str(refused)
            assert written(into) == {}
