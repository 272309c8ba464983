"""From the file that is executed, over interpreters, to a program.

Owns: the chain of scripts, wrappers and interpreters, and what is wrong on the way. Must not know:
how a path is walked (`image_paths`), how bytes are read (`exec_formats`), Docker's API.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from contract_tests.exec_findings import (
    NO_FILE,
    NO_FORMAT,
    NO_PERMISSION,
    TOO_MANY_LINKS,
    Form,
    Problem,
    Step,
    Trouble,
    trouble_with,
)
from contract_tests.exec_formats import (
    MAGIC,
    SHELLS,
    WRAPPERS,
    Elf,
    Fit,
    Shebang,
    Wrapped,
    fit,
    is_python,
    parse_elf,
    parse_interpreter,
    parse_shebang,
    parse_wrapper,
)
from contract_tests.image_paths import Place, Status, Tree, search

LIBC_PATH = "/bin:/usr/bin"
"""What execvp() searches when the environment has no PATH."""
MAX_SCRIPTS = 5  # the kernel's: scripts in a row before there must be a program
MAX_STEPS = 24  # ours: no image has so long a chain, and an endless one must end


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One file that the kernel is asked to execute, and on whose behalf."""

    place: Place
    argv: tuple[str, ...]
    first: str  # the file that was asked for before any interpreter came in
    by: str = ""  # the wrapper that asked; empty for the container engine
    scripts: int = 0  # in a row, up to here
    path: str | None = None  # PATH in its environment

    def prints(self, error: str) -> str:
        """The engine's words, or the wrapper's, for an error of execve()."""
        if self.by:
            return f"{self.by}: {self.first!r}: {error}"
        return f"exec {self.first}: {error.lower()}"


class Chain:
    """Follows one command to its end."""

    def __init__(self, tree: Tree, base: str, architecture: str) -> None:
        self._tree = tree
        self._base = base
        self._architecture = architecture
        self._steps: list[Step] = []
        self._asked_for: set[str] = set()  # by the engine or a wrapper, not by a #! line

    async def follow(self, call: Call | None) -> tuple[Step, ...]:
        while call is not None and len(self._steps) < MAX_STEPS:
            assert call.place.entry is not None
            head = call.place.entry.head
            shebang = parse_shebang(head)
            if head[:4] == MAGIC:
                call = await self._program(call, head)
            elif shebang is not None:
                call = await self._script(call, shebang)
            else:
                self._add(call, Form.UNKNOWN, trouble=_not_a_program(call, head))
                call = None
        return tuple(self._steps)

    def _add(
        self,
        call: Call,
        form: Form,
        *,
        trouble: Trouble | None = None,
        shebang: Shebang | None = None,
        elf: Elf | None = None,
    ) -> None:
        step = Step(
            path=call.place.asked,
            resolved=call.place.path,
            form=form,
            line=shebang.line if shebang else b"",
            interpreter=(shebang.interpreter or "") if shebang else "",
            argument=shebang.argument if shebang else None,
            elf=elf,
            troubles=(trouble,) if trouble else (),
        )
        self._steps.append(step)

    def _blame(self, trouble: Trouble) -> None:
        """Adds to the last step what came out only behind it."""
        last = self._steps[-1]
        self._steps[-1] = replace(last, troubles=(*last.troubles, trouble))

    async def _script(self, call: Call, shebang: Shebang) -> Call | None:
        place, name = call.place, shebang.interpreter
        again = not call.scripts and place.path in self._asked_for
        if not call.scripts:
            self._asked_for.add(place.path)
        if again or call.scripts == MAX_SCRIPTS:
            prints = call.prints(TOO_MANY_LINKS) if not again else ""
            trouble = trouble_with(Problem.RECURSION, place.asked, prints=prints)
            self._add(call, Form.SCRIPT, shebang=shebang, trouble=trouble)
            return None
        if name is None:
            kind = Problem.LINE_TOO_LONG if shebang.cut else Problem.NO_INTERPRETER
            trouble = _refused(kind, call)
            self._add(call, Form.SCRIPT, shebang=shebang, trouble=trouble)
            return None
        found = await self._tree.walk(name, self._base)
        kinds = (Problem.INTERPRETER_ABSENT, Problem.INTERPRETER_NOT_EXECUTABLE)
        missing = _missing(found, name, place.asked, kinds, call)
        if missing is None and shebang.cut:
            missing = trouble_with(Problem.LINE_TOO_LONG, place.asked, certain=False)
        self._add(call, Form.SCRIPT, shebang=shebang, trouble=missing)
        if found.status is not Status.FOUND:
            return None
        argument = () if shebang.argument is None else (shebang.argument,)
        # The kernel hands the interpreter the script by the name it was asked for.
        argv = (name, *argument, place.asked, *call.argv[1:])
        return replace(call, place=found, argv=argv, scripts=call.scripts + 1)

    async def _program(self, call: Call, head: bytes) -> Call | None:
        place, elf = call.place, parse_elf(head)
        if elf is None or not elf.is_program:
            trouble = trouble_with(
                Problem.MALFORMED_ELF, place.asked, prints=call.prints(NO_FORMAT)
            )
            self._add(call, Form.PROGRAM, elf=elf, trouble=trouble)
            return None
        fits = fit(elf, self._architecture)
        if fits in {Fit.NO, Fit.PERHAPS}:
            detail = f"{elf.name}, and the image is for {self._architecture}"
            prints, kind = call.prints(NO_FORMAT), Problem.WRONG_MACHINE
            certain = fits is Fit.NO
            trouble = trouble_with(kind, place.asked, detail, prints, certain=certain)
            self._add(call, Form.PROGRAM, elf=elf, trouble=trouble)
            if certain:
                return None
        else:
            self._add(call, Form.PROGRAM, elf=elf)
        if elf.loader:
            loader = await self._tree.walk(elf.loader, self._base)
            kinds = (Problem.LOADER_ABSENT, Problem.LOADER_NOT_EXECUTABLE)
            missing = _missing(loader, elf.loader, place.asked, kinds, call)
            if missing is not None:
                self._blame(missing)
                return None
        return await self._in_turn(call)

    async def _in_turn(self, call: Call) -> Call | None:
        """What a program that only runs or reads another file makes of its arguments."""
        name, arguments = posixpath.basename(call.argv[0]), call.argv[1:]
        if name in WRAPPERS:
            wrapped = parse_wrapper(name, arguments, call.path)
            return None if wrapped is None else await self._wrapped(call, wrapped)
        if name in SHELLS or is_python(name):
            await self._read(call, name)
        elif call.scripts and arguments[0].endswith("\r"):
            detail = f"the argument {arguments[0]!r} of {name}"
            kind = Problem.CARRIAGE_RETURN
            self._blame(trouble_with(kind, self._writer(call), detail, certain=False))
        return None

    def _writer(self, call: Call) -> str:
        """The file whose first line is to be corrected, or the program that was named."""
        return self._steps[-2].path if call.scripts else call.argv[0]

    async def _wrapped(self, call: Call, wrapped: Wrapped) -> Call | None:
        name, by = wrapped.argv[0], call.argv[0]
        if wrapped.split and posixpath.basename(call.place.path) == "busybox":
            kind = Problem.SPLIT_UNSUPPORTED
            self._blame(trouble_with(kind, call.place.asked, certain=False))
        if "/" in name:
            found = await self._tree.walk(name, self._base)
        else:
            path = LIBC_PATH if wrapped.path is None else wrapped.path
            found = await search(self._tree, name, path.split(":"), self._base)
        kinds = (Problem.NAME_ABSENT, Problem.NAME_NOT_EXECUTABLE)
        turn = Call(place=found, argv=wrapped.argv, first=name, by=by, path=wrapped.path)
        missing = _missing(found, name, self._writer(call), kinds, turn)
        if missing is not None:
            self._blame(missing)
        return turn if found.status is Status.FOUND else None

    async def _read(self, call: Call, name: str) -> None:
        """The file that a shell or Python is given to read: it needs no execute bit."""
        operand = parse_interpreter(name, call.argv[1:])
        if operand is None:
            return
        word, detail = operand.word, f"the argument {operand.word!r} of {name}"
        if operand.is_option:
            self._blame(trouble_with(Problem.CARRIAGE_RETURN, self._writer(call), detail))
            return
        shell = name in SHELLS
        dash = shell and posixpath.basename(call.place.path) == "dash"
        place = await self._tree.walk(word, self._base)
        if place.status is Status.ABSENT and shell and not dash and "/" not in word:
            # bash looks for it along PATH then.
            directories = (call.path or LIBC_PATH).split(":")
            along = await search(self._tree, word, directories, self._base)
            place = place if along.status is Status.ABSENT else along
        if place.status in _NOTHING:
            prints = f"{name}: {word}: {NO_FILE}"
            if dash:
                prints = f"{name}: 0: cannot open {word}: No such file"
            elif not shell:
                full = word if word.startswith("/") else f"{self._base}/{word}"
                prints = f"{name}: can't open file {full!r}: [Errno 2] {NO_FILE}"
            if word.endswith("\r"):
                self._blame(
                    trouble_with(Problem.CARRIAGE_RETURN, self._writer(call), detail, prints)
                )
            else:
                self._blame(trouble_with(Problem.SCRIPT_ABSENT, call.argv[0], repr(word), prints))
            return
        trouble = _unreadable(name, place) if shell else None
        known = any(step.resolved == place.path for step in self._steps)
        if trouble is not None or (place.is_file and not known):
            self._add(replace(call, place=place), Form.READ, trouble=trouble)


_NOTHING = (Status.ABSENT, Status.BROKEN_LINK, Status.LINK_LOOP, Status.NOT_A_DIRECTORY)


def _missing(
    found: Place, name: str, blamed: str, kinds: tuple[Problem, Problem], call: Call
) -> Trouble | None:
    """None when it can be executed, or when only a running container could tell."""
    if found.status in {Status.FOUND, Status.MOUNTED}:
        return None
    if found.status is Status.LINK_LOOP:
        return trouble_with(kinds[0], blamed, repr(name), call.prints(TOO_MANY_LINKS))
    if found.status not in _NOTHING:
        return trouble_with(kinds[1], blamed, repr(name), call.prints(NO_PERMISSION))
    if name.endswith("\r"):
        detail = f"the name {name!r}"
        return trouble_with(Problem.CARRIAGE_RETURN, blamed, detail, call.prints(NO_FILE))
    return trouble_with(kinds[0], blamed, repr(name), call.prints(NO_FILE))


def _refused(kind: Problem, call: Call, detail: str = "") -> Trouble:
    """The kernel does not know the format. The engine gives up; execvp() of a C library tries
    the shell, which may understand the file.
    """
    prints, certain = call.prints(NO_FORMAT), not call.by
    return trouble_with(kind, call.place.asked, detail, prints, certain=certain)


_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def _not_a_program(call: Call, head: bytes) -> Trouble:
    if not head:
        return _refused(Problem.EMPTY_FILE, call)
    if head.startswith(_MARKS):
        return _refused(Problem.BYTE_ORDER_MARK, call)
    return _refused(Problem.NO_SHEBANG, call, repr(head.partition(b"\n")[0][:32])[1:])


def _unreadable(shell: str, place: Place) -> Trouble | None:
    if place.status is Status.IS_DIRECTORY:
        prints = f"{shell}: {place.asked}: Is a directory"
        return trouble_with(Problem.SCRIPT_IS_DIRECTORY, place.asked, shell, prints)
    head = place.entry.head if place.entry is not None else b""
    if head[:4] == MAGIC:
        return trouble_with(Problem.SCRIPT_IS_BINARY, place.asked, shell)
    for line in head.split(b"\n"):
        if line.endswith(b"\r") and line.strip() and not line.lstrip().startswith(b"#"):
            # Not certain: the last word of a command may bear it (`exec serve "$@"`).
            detail = f"the line {line[:60].decode('utf-8', 'backslashreplace')!r}"
            return trouble_with(Problem.CARRIAGE_RETURN, place.asked, detail, certain=False)
    return None
