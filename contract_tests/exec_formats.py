"""What is read in order to execute: the ELF header, the line that begins with #!, and the arguments
of programs that only run or read another file (env, an init, a shell, Python).

Owns: these formats, as the kernel and the programs take them, and which machine is which. Must not
know: paths, images, what is a problem. Nothing here raises, whatever the bytes or the words.
"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

MAGIC = b"\x7fELF"
SHEBANG = b"#!"
KERNEL_BUFFER = 256
"""The kernel judges a file by so many bytes (BINPRM_BUF_SIZE since Linux 5.1), the last of which
is its own."""

_PROGRAMS = (2, 3)  # ET_EXEC and ET_DYN; relocatable objects and core dumps are not executed
_PT_INTERP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an ELF file is compiled for."""

    number: int  # e_machine
    bits: int
    little_endian: bool = True


MACHINES = {
    "amd64": Machine(number=62, bits=64),
    "arm64": Machine(number=183, bits=64),
    "arm": Machine(number=40, bits=32),
    "386": Machine(number=3, bits=32),
    "ppc64le": Machine(number=21, bits=64),
    "s390x": Machine(number=22, bits=64, little_endian=False),
    "riscv64": Machine(number=243, bits=64),
}
"""Docker's names of architectures."""

_PERHAPS = {
    ("amd64", MACHINES["386"]),
    ("amd64", Machine(number=62, bits=32)),  # x32
    ("arm64", MACHINES["arm"]),
}
"""What a kernel for that architecture may run, when it was built and the CPU made for it."""


class Fit(Enum):
    YES = "runs there"
    PERHAPS = "runs there if the kernel supports it"
    NO = "does not run there"
    UNKNOWN = "not an architecture that we know"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """The part of an ELF header that decides whether a file can be executed."""

    machine: Machine
    is_program: bool
    loader: str | None  # PT_INTERP; empty when it needs none, None when it lies beyond the head

    @property
    def name(self) -> str:
        """Docker's name of the machine, or its number."""
        names = (name for name, machine in MACHINES.items() if machine == self.machine)
        return next(names, f"ELF machine {self.machine.number} ({self.machine.bits} bits)")


def parse_elf(head: bytes) -> Elf | None:
    """None when the head is not that of an ELF file, or ends before it tells the machine."""
    if head[:4] != MAGIC or len(head) < 20 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    bits, order = 32 * head[4], "<" if head[5] == 1 else ">"
    kind, number = struct.unpack_from(order + "HH", head, 16)
    return Elf(
        machine=Machine(number=number, bits=bits, little_endian=order == "<"),
        is_program=kind in _PROGRAMS,
        loader=_loader(head, bits, order),
    )


def _loader(head: bytes, bits: int, order: str) -> str | None:
    where = (32, "Q", 54) if bits == 64 else (28, "I", 42)
    entry = "IIQQQQ" if bits == 64 else "IIIIII"  # both end before p_flags or p_align
    try:
        (table,) = struct.unpack_from(order + where[1], head, where[0])
        size, count = struct.unpack_from(order + "HH", head, where[2])
        for index in range(count):
            fields = struct.unpack_from(order + entry, head, table + index * size)
            if fields[0] != _PT_INTERP:
                continue
            offset, length = (fields[2], fields[5]) if bits == 64 else (fields[1], fields[4])
            if offset + length > len(head):
                return None
            return _text(head[offset : offset + length])
    except (struct.error, OverflowError):
        return None
    return ""


def fit(elf: Elf, architecture: str) -> Fit:
    """Whether a host of that architecture, by Docker's name, executes the file."""
    if architecture not in MACHINES:
        return Fit.UNKNOWN
    if elf.machine == MACHINES[architecture]:
        return Fit.YES
    return Fit.PERHAPS if (architecture, elf.machine) in _PERHAPS else Fit.NO


@dataclass(frozen=True, slots=True, kw_only=True)
class Shebang:
    """The first line of a script as the kernel understands it."""

    line: bytes  # raw, without the newline
    interpreter: str | None  # None: the kernel refuses the file with "exec format error"
    argument: str | None  # one at most, blanks and all
    cut: bool  # the line is longer than what the kernel reads


def parse_shebang(head: bytes) -> Shebang | None:
    """None when the file does not begin with #!. Follows load_script() of Linux 5.1 and later:
    https://github.com/torvalds/linux/blob/v6.1/fs/binfmt_script.c
    """
    if head[:2] != SHEBANG:
        return None
    buffer = head[:KERNEL_BUFFER].ljust(KERNEL_BUFFER, b"\0")
    newline = buffer.partition(b"\0")[0].find(b"\n")
    raw = head.partition(b"\n")[0]
    cut = newline < 0 and len(raw) >= KERNEL_BUFFER
    if newline < 0:
        # Without a newline the end of the path must be seen, or it might be a part of the path.
        text = buffer[2 : KERNEL_BUFFER - 1]
        rest = buffer[2:].lstrip(b" \t")
        whole = any(byte in b" \t\0" for byte in rest)
        if not whole:
            return Shebang(line=raw, interpreter=None, argument=None, cut=cut)
    else:
        text = buffer[2:newline]
    text = text.rstrip(b" \t").lstrip(b" \t")
    end = next((i for i, byte in enumerate(text) if byte in b" \t\0"), len(text))
    argument = text[end:].lstrip(b" \t") if text[end : end + 1] in (b" ", b"\t") else None
    return Shebang(
        line=raw,
        interpreter=_text(text[:end]) if text else None,
        argument=None if argument is None else _text(argument),
        cut=cut,
    )


def _text(raw: bytes) -> str:
    """A C string. What is not UTF-8 is made visible, so that it can be printed and looked up."""
    return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """What a wrapper executes in turn."""

    argv: tuple[str, ...]
    path: str | None  # PATH in its environment
    split: bool = False  # by env -S


# Program: options that take a value, options that do not. Any other option ends our following.
WRAPPERS = {
    "env": ("u", "iv"),
    "tini": ("pe", "svwg"),
    "tini-static": ("pe", "svwg"),
    "dumb-init": ("r", "cv"),
}


def parse_wrapper(name: str, arguments: Sequence[str], path: str | None) -> Wrapped | None:
    """What one of WRAPPERS executes; None when that is nothing, or nothing that we can tell."""
    with_value, flags = WRAPPERS[name]
    env, todo, split, options = name == "env", list(arguments), False, True
    while todo:
        word = todo.pop(0)
        if options and env and word.startswith(("-S", "-vS", "--split-string=")):
            text = word.partition("=" if word.startswith("--") else "S")[2]
            words = _split(text or (todo.pop(0) if todo else ""))
            if words is None:
                return None
            todo, split = words + todo, True
        elif options and word == "--":
            options = False
        elif options and env and word in {"-", "-i", "--ignore-environment"}:
            path = None
        elif options and len(word) > 1 and word.startswith("-"):
            if word[1] in with_value:
                value = word[2:] or (todo.pop(0) if todo else "")
                path = None if env and value == "PATH" else path
            elif not set(word[1:]) <= set(flags) or "i" in word:
                return None
        elif env and "=" in word:
            options = False
            path = word.partition("=")[2] if word.startswith("PATH=") else path
        else:
            return Wrapped(argv=(word, *todo), path=path, split=split)
    return None


def _split(text: str) -> list[str] | None:
    """As env -S does; None for what only env itself can expand."""
    if set(text) & set("$#\\"):
        return None
    try:
        return shlex.split(text)
    except ValueError:
        return None


SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_PYTHON = re.compile(r"(python|pypy)(\d+(\.\d+)?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """The file that an interpreter is given to read, or the option that it cannot know."""

    word: str
    is_option: bool = False


def is_python(name: str) -> bool:
    return _PYTHON.fullmatch(name) is not None


def parse_interpreter(name: str, arguments: Sequence[str]) -> Operand | None:
    """What a shell or Python reads; None for -c, -m, standard input, and what we cannot tell."""
    shell, todo = name in SHELLS, list(arguments)
    with_value, ends = ("oO", "cs") if shell else ("WX", "cmVh?")
    while todo:
        word = todo.pop(0)
        if word == "--":
            return Operand(word=todo[0]) if todo else None
        if word == "-" or word.startswith("--"):
            return None
        if not word.startswith(("-", "+") if shell else "-"):
            return Operand(word=word)
        for place, letter in enumerate(word[1:], start=2):
            if letter in ends:
                return None
            if letter == "\r":
                return Operand(word=word, is_option=True)
            if letter in with_value:
                # A shell takes the next word always, Python the rest of this one if there is any.
                todo = todo[1:] if shell or not word[place:] else todo
                break
    return None
