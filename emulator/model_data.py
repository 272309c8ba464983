"""The model artifact: a directory, or a model.tar.gz unpacked as the platform unpacks it.

Owns: the archive's rules. Must not know: engines, checks. The platform unpacks ModelDataUrl, one
gzip tar, under /opt/ml/model before the container starts (contract 1.8,
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html) and takes no
symbolic links (contract 1.12,
https://docs.aws.amazon.com/sagemaker/latest/dg/model-deploy-troubleshooting.html).
"""

from __future__ import annotations

import errno
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from emulator.errors import ARCHIVE, Usage

GZIP_MAGIC = b"\x1f\x8b"
MIB = 1024 * 1024
THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE}
"""What goes wrong here and says nothing about the archive."""


class ArchiveRefused(Usage):
    """The archive is at fault, and the platform would not take it either."""

    def __init__(self, archive: Path, why: str, cure: str) -> None:
        super().__init__(
            f"--model-data {archive}: {why}. SageMaker takes a gzip tar of plain files and"
            f" directories; it would show, in {ARCHIVE}. What to do: {cure}."
        )
        self.why = why
        self.cure = cure


def unpack(archive: Path, into: Path) -> None:
    """Unpacks after every member was looked at. Raises ArchiveRefused with AWS's text and the cure,
    Usage when this machine is to blame; then nothing was written.
    """
    try:
        with archive.open("rb") as file:
            magic = file.read(2)
    except OSError as error:
        raise Usage(f"--model-data {archive} cannot be read: {error.strerror}.") from error
    if magic != GZIP_MAGIC:
        raise ArchiveRefused(
            archive,
            "it is not gzip-compressed",
            "make it with `tar -czf model.tar.gz -C MODEL_DIRECTORY .`",
        )
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                _look_at(archive, member)
            # tar stops at its own end mark; what gzip says of the whole comes after it.
            while tar.fileobj is not None and tar.fileobj.read(MIB):
                pass
            _extract(tar, members, into)
    except (tarfile.TarError, EOFError, zlib.error, ArithmeticError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in THIS_MACHINE:
            raise Usage(
                f"--model-data {archive} cannot be unpacked to {into}: {error.strerror}. The"
                " archive is not to blame: make room, or set TMPDIR to another directory."
            ) from error
        raise ArchiveRefused(
            archive, f"it cannot be unpacked ({error})", "make it again"
        ) from error


def _extract(tar: tarfile.TarFile, members: list[tarfile.TarInfo], into: Path) -> None:
    """All or nothing: names may still collide, which only writing tells."""
    with tempfile.TemporaryDirectory(dir=into) as directory:
        # The filter drops what a file system of this machine should not get (set-uid bits,
        # foreign owners); names and kinds were judged before.
        tar.extractall(directory, members=members, filter="data")
        for path in Path(directory).iterdir():
            path.rename(into / path.name)


def _look_at(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if member.issym() or member.islnk():
        kind = "symbolic link" if member.issym() else "hard link"
        raise ArchiveRefused(
            archive,
            f"{member.name!r} is a {kind} to {member.linkname!r}",
            "pack the file itself: `tar --dereference --hard-dereference -czf model.tar.gz"
            " -C MODEL_DIRECTORY .` (a Hugging Face cache is full of links; use its snapshot)",
        )
    # Python takes the slash off a directory's name: of "/" nothing is left.
    if path.is_absolute() or ".." in path.parts or not member.name:
        raise ArchiveRefused(
            archive,
            f"{member.name!r} points outside of the archive",
            "pack relative names: `tar -czf model.tar.gz -C MODEL_DIRECTORY .`",
        )
    if not (member.isfile() or member.isdir()):
        raise ArchiveRefused(
            archive, f"{member.name!r} is a device or a pipe", "leave it out of the archive"
        )
