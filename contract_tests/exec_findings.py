"""What is found on the way to the program that an image runs: its steps, and what is wrong.

Owns: the table of problems, their sentences, and what Docker prints. Must not know: how anything
is found (`exec_chain`). The words that Docker prints were read off Docker 20.10 with runc 1.1; what
people saw of them on AWS: contract 1.2 (https://github.com/aws/sagemaker-python-sdk/issues/4615),
failures 3.7 (https://github.com/aws/amazon-sagemaker-examples/issues/628) and 3.22 (the same,
issues/571).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from contract_tests.exec_formats import Elf


class Problem(Enum):
    """What may be wrong with a file of the chain. The values are stable."""

    CARRIAGE_RETURN = "carriage-return"
    BYTE_ORDER_MARK = "byte-order-mark"
    NO_SHEBANG = "no-shebang"
    EMPTY_FILE = "empty-file"
    NO_INTERPRETER = "no-interpreter"
    LINE_TOO_LONG = "line-too-long"
    INTERPRETER_ABSENT = "interpreter-absent"
    INTERPRETER_NOT_EXECUTABLE = "interpreter-not-executable"
    NAME_ABSENT = "name-absent"
    NAME_NOT_EXECUTABLE = "name-not-executable"
    SPLIT_UNSUPPORTED = "split-unsupported"
    SCRIPT_ABSENT = "script-absent"
    SCRIPT_IS_BINARY = "script-is-binary"
    SCRIPT_IS_DIRECTORY = "script-is-directory"
    RECURSION = "recursion"
    WRONG_MACHINE = "wrong-machine"
    MALFORMED_ELF = "malformed-elf"
    LOADER_ABSENT = "loader-absent"
    LOADER_NOT_EXECUTABLE = "loader-not-executable"
    RELATIVE_PATH_ENTRY = "relative-path-entry"


SENTENCES = {
    Problem.CARRIAGE_RETURN: "{path} has Windows line endings, so that {detail} ends with a"
    " carriage return",
    Problem.BYTE_ORDER_MARK: "{path} begins with a byte order mark, so that Linux does not see #!",
    Problem.NO_SHEBANG: "{path} is neither a program nor does it begin with #!, but with {detail}",
    Problem.EMPTY_FILE: "{path} is empty",
    Problem.NO_INTERPRETER: "{path} names no interpreter after #!",
    Problem.LINE_TOO_LONG: "{path} has a first line longer than the 255 bytes that Linux reads",
    Problem.INTERPRETER_ABSENT: "{path} names the interpreter {detail}, which the image lacks",
    Problem.INTERPRETER_NOT_EXECUTABLE: "{path} names the interpreter {detail}, which cannot be"
    " executed",
    Problem.NAME_ABSENT: "{path} has to run {detail}, which the image lacks",
    Problem.NAME_NOT_EXECUTABLE: "{path} has to run {detail}, which cannot be executed",
    Problem.SPLIT_UNSUPPORTED: "{path} is busybox, whose env may not know the option -S",
    Problem.SCRIPT_ABSENT: "{path} has to read {detail}, which the image lacks",
    Problem.SCRIPT_IS_BINARY: "{path} is a compiled program, and {detail} reads it as a script",
    Problem.SCRIPT_IS_DIRECTORY: "{path} is a directory, and {detail} reads it as a script",
    Problem.RECURSION: "{path} is its own interpreter, or there are too many scripts in a row",
    Problem.WRONG_MACHINE: "{path} is compiled for {detail}",
    Problem.MALFORMED_ELF: "{path} looks compiled, but is no complete program",
    Problem.LOADER_ABSENT: "{path} is linked for the loader {detail}, which the image lacks (musl"
    " or glibc: build it on the distribution that it runs on)",
    Problem.LOADER_NOT_EXECUTABLE: "{path} is linked for the loader {detail}, which cannot be"
    " executed",
    Problem.RELATIVE_PATH_ENTRY: "PATH has the relative entry {detail}, and {path} was found there;"
    " newer engines refuse that",
}


NO_FILE, NO_PERMISSION = "No such file or directory", "Permission denied"
NO_FORMAT, TOO_MANY_LINKS = "Exec format error", "Too many levels of symbolic links"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong with one file."""

    kind: Problem
    path: str
    sentence: str
    prints: str  # in the container's log or from `docker run`; empty when that is not known
    certain: bool = True  # False: it may start all the same

    @property
    def text(self) -> str:
        return f"{self.sentence}: `{self.prints}`" if self.prints else self.sentence


def trouble_with(
    kind: Problem, path: str, detail: str = "", prints: str = "", *, certain: bool = True
) -> Trouble:
    sentence = SENTENCES[kind].format(path=path, detail=detail)
    return Trouble(kind=kind, path=path, sentence=sentence, prints=prints, certain=certain)


class Form(Enum):
    """What a file is to the kernel."""

    PROGRAM = "ELF"
    SCRIPT = "begins with #!"
    UNKNOWN = "neither"
    READ = "not executed, but read by the interpreter before it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One file on the way from the first word of the command to a program."""

    path: str  # as it was named
    resolved: str  # after all symbolic links
    form: Form
    line: bytes = b""  # a script's first line, raw, without the newline
    interpreter: str = ""
    argument: str | None = None
    elf: Elf | None = None
    troubles: tuple[Trouble, ...] = ()
