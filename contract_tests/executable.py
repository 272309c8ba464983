"""What `docker run IMAGE serve` would execute, found in the image's files without running it.

Owns: the search along PATH as runc does it, symbolic links, and the chain from a script over its
interpreter to a program. Must not know: Docker's API, checks, verdicts; formats are read by
`exec_formats`.

What is in `problems` keeps the program from starting, whatever it does. What only looks wrong is in
`doubts`. The words that Docker prints were read off Docker 20.10 with runc 1.1; what people saw of
them on AWS: contract 1.2 (https://github.com/aws/sagemaker-python-sdk/issues/4615), failures 3.7
(https://github.com/aws/amazon-sagemaker-examples/issues/628) and 3.22 (the same, issues/571).
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

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
from emulator.engines import FileEntry, FileKind, ImageFiles, ImageInfo

DOCKER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Docker sets when the image has no PATH."""
LIBC_PATH = "/bin:/usr/bin"
"""What execvp() searches when the environment has no PATH."""
MAX_LINKS = 40  # the kernel's, for one path
MAX_SCRIPTS = 5  # the kernel's: scripts in a row before there must be a program
MAX_STEPS = 24  # ours: no image has so long a chain, and an endless one must end
MOUNTS = ("/proc", "/sys", "/dev", "/opt/ml/model")
"""Only there when the container runs; what an image lacks below them proves nothing."""
USUAL_PLACES = (
    "/opt/program",
    "/opt/ml",
    "/opt/ml/code",
    ".",
    "/app",
    "/usr/src/app",
    "/code",
    "/",
    *DOCKER_PATH.split(":"),
    "/opt/conda/bin",
    "/opt/venv/bin",
)


class Status(Enum):
    """What a path leads to."""

    FOUND = "an executable file"
    ABSENT = "no such file"
    NOT_EXECUTABLE = "a file without the execute bit"
    IS_DIRECTORY = "a directory"
    BROKEN_LINK = "a symbolic link to nothing"
    LINK_LOOP = "a loop of symbolic links"
    NOT_A_DIRECTORY = "a path through something that is not a directory"
    NOT_A_FILE = "a device, socket or pipe"
    MOUNTED = "a file that only a running container has"


class Origin(Enum):
    """Who names the program."""

    ENTRYPOINT = "ENTRYPOINT"
    COMMAND = "the command"


class Form(Enum):
    """What a file is to the kernel."""

    PROGRAM = "ELF"
    SCRIPT = "begins with #!"
    UNKNOWN = "neither"
    READ = "not executed, but read by the interpreter before it"


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


_SENTENCES = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What would be executed, and what is wrong with it."""

    argv: tuple[str, ...]
    argv0: str
    origin: Origin
    search_path: str
    status: Status
    text: str  # why it is not FOUND, with the words that Docker prints; empty when it is
    found_as: str  # the path before links were followed; empty when there is no such file
    path: str  # after links were followed
    mode: int
    closed_to_others: str  # what keeps a user who owns nothing from executing it; or empty
    elsewhere: tuple[str, ...]  # files of that name in usual places, when it is not FOUND
    chain: tuple[Step, ...]
    troubles: tuple[Trouble, ...]  # those that belong to no step

    @property
    def others_may_execute(self) -> bool:
        return self.status is Status.FOUND and not self.closed_to_others

    @property
    def problems(self) -> tuple[Trouble, ...]:
        """What keeps it from starting for certain."""
        return tuple(trouble for trouble in self._all() if trouble.certain)

    @property
    def doubts(self) -> tuple[Trouble, ...]:
        """What looks wrong, but may start all the same."""
        return tuple(trouble for trouble in self._all() if not trouble.certain)

    def _all(self) -> tuple[Trouble, ...]:
        return self.troubles + tuple(trouble for step in self.chain for trouble in step.troubles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path led. `entry` is None for the root and for what is not there."""

    asked: str
    status: Status
    path: str = ""
    entry: FileEntry | None = None
    closed: str = ""  # the first directory on the way that others may not pass

    @property
    def is_file(self) -> bool:
        return self.status in (Status.FOUND, Status.NOT_EXECUTABLE)


@dataclass(slots=True)
class Tree:
    """Paths of an image as its own kernel would walk them. Asks for each entry once."""

    files: ImageFiles
    _seen: dict[str, FileEntry | None] = field(default_factory=dict)

    async def walk(self, path: str, base: str = "/") -> Place:
        """Follows every link in every component; links and `..` stay inside the image."""
        if not path:
            return Place(asked=path, status=Status.ABSENT)
        full = path if path.startswith("/") else f"{base}/{path}"
        todo = [(part, False) for part in reversed(full.split("/"))]
        here: tuple[str, ...] = ()
        entry: FileEntry | None = None
        links, closed = 0, ""
        while todo:
            name, from_link = todo.pop()
            if entry is not None and entry.kind is not FileKind.DIRECTORY:
                return Place(asked=path, status=Status.NOT_A_DIRECTORY)
            if name in {"", "."}:
                continue
            if name == "..":
                here, entry = here[:-1], None
                continue
            there = "/" + "/".join((*here, name))
            found = await self._lookup(there)
            if found is None:
                rest = "/".join(part for part, _ in reversed(todo))
                whole = posixpath.normpath(f"{there}/{rest}") + "/"
                below = any(whole.startswith(mount + "/") for mount in MOUNTS)
                absent = Status.BROKEN_LINK if from_link else Status.ABSENT
                return Place(asked=path, status=Status.MOUNTED if below else absent, path=there)
            if found.kind is FileKind.SYMLINK:
                links += 1
                if links > MAX_LINKS:
                    return Place(asked=path, status=Status.LINK_LOOP, path=there)
                if not found.link_target:
                    return Place(asked=path, status=Status.BROKEN_LINK, path=there)
                if found.link_target.startswith("/"):
                    here, entry = (), None
                todo += [(part, True) for part in reversed(found.link_target.split("/"))]
                continue
            here, entry = (*here, name), found
            if found.kind is FileKind.DIRECTORY and not found.mode & 0o001:
                closed = closed or f"the directory {there} has mode {found.mode:04o}"
        return Place(
            asked=path,
            status=_status(entry),
            path="/" + "/".join(here),
            entry=entry,
            closed=closed,
        )

    async def _lookup(self, path: str) -> FileEntry | None:
        if path not in self._seen:
            self._seen[path] = await self.files.lookup(path)
        return self._seen[path]


def _status(entry: FileEntry | None) -> Status:
    if entry is None or entry.kind is FileKind.DIRECTORY:
        return Status.IS_DIRECTORY
    if entry.kind is not FileKind.FILE:
        return Status.NOT_A_FILE
    return Status.FOUND if entry.mode & 0o111 else Status.NOT_EXECUTABLE


async def _search(tree: Tree, name: str, directories: Sequence[str], base: str) -> Place:
    """The first executable file along the directories; else the first that was nearest to one."""
    nearest = Place(asked=name, status=Status.ABSENT)
    for directory in directories:
        place = await tree.walk(posixpath.join(directory or ".", name), base)
        if place.status is Status.FOUND:
            return place
        if _NEARNESS[place.status] > _NEARNESS[nearest.status]:
            nearest = place
    return nearest


_NEARNESS = {
    Status.ABSENT: 0,
    Status.NOT_A_DIRECTORY: 0,
    Status.NOT_A_FILE: 1,
    Status.IS_DIRECTORY: 2,
    Status.LINK_LOOP: 3,
    Status.BROKEN_LINK: 4,
    Status.NOT_EXECUTABLE: 5,
    Status.MOUNTED: 6,
    Status.FOUND: 7,
}


async def resolve(
    image: ImageInfo, files: ImageFiles, command: tuple[str, ...] = ("serve",)
) -> Resolution:
    """What `docker run IMAGE COMMAND...` executes. Reads single paths; runs nothing."""
    argv = (*image.entrypoint, *command)
    argv0 = argv[0] if argv else ""
    path = image.environment.get("PATH", DOCKER_PATH)
    base = image.working_dir or "/"
    tree = Tree(files)
    if "/" in argv0:
        place = await tree.walk(argv0, base)
    else:
        place = await _search(tree, argv0, path.split(":") if path and argv0 else (), base)
    chain: tuple[Step, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    elsewhere: tuple[str, ...] = ()
    if place.status is Status.FOUND:
        call = _Call(place=place, argv=argv, first=place.asked, path=path)
        chain = await _Chain(tree, base, image.architecture).follow(call)
        if not place.asked.startswith("/") and "/" not in argv0:
            entry = repr(posixpath.dirname(place.asked))
            prints = f'exec: "{argv0}": cannot run executable found relative to current directory'
            kind = Problem.RELATIVE_PATH_ENTRY
            troubles = (_trouble(kind, place.path, entry, prints, certain=False),)
    else:
        elsewhere = await _elsewhere(tree, posixpath.basename(argv0), base, besides=place.path)
    return Resolution(
        argv=argv,
        argv0=argv0,
        origin=Origin.ENTRYPOINT if image.entrypoint else Origin.COMMAND,
        search_path=path,
        status=place.status,
        text=_why(argv0, place),
        found_as=place.asked if place.is_file else "",
        path=place.path if place.is_file else "",
        mode=place.entry.mode if place.is_file and place.entry is not None else 0,
        closed_to_others=_closed(place),
        elsewhere=elsewhere,
        chain=chain,
        troubles=troubles,
    )


def _why(argv0: str, place: Place) -> str:
    """Why the engine does not execute it, in a sentence and in Docker's own words."""
    if place.status is Status.FOUND:
        return ""
    if place.status is Status.MOUNTED:
        return f"{place.path} is not in the image; only a running container may have it"
    where = f"{place.asked} is {place.status.value}"
    if place.status is Status.ABSENT:
        where = f"the image has no {argv0 or 'ENTRYPOINT and no command'}"
    elif place.status is Status.BROKEN_LINK:
        where = f"{place.asked} is a symbolic link that leads to {place.path}, which is not there"
    if "/" not in argv0:
        return f'{where}: `exec: "{argv0}": executable file not found in $PATH`'
    told = {
        Status.NOT_EXECUTABLE: "permission denied",
        Status.NOT_A_FILE: "permission denied",
        Status.IS_DIRECTORY: "permission denied",
        Status.LINK_LOOP: f"stat {argv0}: too many levels of symbolic links",
        Status.NOT_A_DIRECTORY: f"stat {argv0}: not a directory",
    }.get(place.status, f"stat {argv0}: no such file or directory")
    return f'{where}: `exec: "{argv0}": {told}`'


def _closed(place: Place) -> str:
    if place.entry is None or not place.is_file:
        return ""
    if place.closed:
        return place.closed
    # The interpreter opens a script as the same user.
    needed = 0o001 if place.entry.head[:4] == MAGIC else 0o005
    if place.entry.mode & needed != needed:
        return f"{place.path} has mode {place.entry.mode:04o}"
    return ""


async def _elsewhere(tree: Tree, name: str, base: str, besides: str) -> tuple[str, ...]:
    if name in {"", ".", ".."}:
        return ()
    found: dict[str, str] = {}
    for directory in USUAL_PLACES:
        place = await tree.walk(f"{directory.rstrip('/')}/{name}", base)
        if place.is_file and place.path != besides:
            found.setdefault(place.path, posixpath.normpath(posixpath.join(base, place.asked)))
    return tuple(found.values())


def _trouble(
    kind: Problem, path: str, detail: str = "", prints: str = "", *, certain: bool = True
) -> Trouble:
    sentence = _SENTENCES[kind].format(path=path, detail=detail)
    return Trouble(kind=kind, path=path, sentence=sentence, prints=prints, certain=certain)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
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


class _Chain:
    """Follows one command to its end."""

    def __init__(self, tree: Tree, base: str, architecture: str) -> None:
        self._tree = tree
        self._base = base
        self._architecture = architecture
        self._steps: list[Step] = []
        self._asked_for: set[str] = set()  # by the engine or a wrapper, not by a #! line

    async def follow(self, call: _Call | None) -> tuple[Step, ...]:
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
        call: _Call,
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

    async def _script(self, call: _Call, shebang: Shebang) -> _Call | None:
        place, name = call.place, shebang.interpreter
        again = not call.scripts and place.path in self._asked_for
        if not call.scripts:
            self._asked_for.add(place.path)
        if again or call.scripts == MAX_SCRIPTS:
            prints = call.prints(TOO_MANY_LINKS) if not again else ""
            trouble = _trouble(Problem.RECURSION, place.asked, prints=prints)
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
            missing = _trouble(Problem.LINE_TOO_LONG, place.asked, certain=False)
        self._add(call, Form.SCRIPT, shebang=shebang, trouble=missing)
        if found.status is not Status.FOUND:
            return None
        argument = () if shebang.argument is None else (shebang.argument,)
        # The kernel hands the interpreter the script by the name it was asked for.
        argv = (name, *argument, place.asked, *call.argv[1:])
        return replace(call, place=found, argv=argv, scripts=call.scripts + 1)

    async def _program(self, call: _Call, head: bytes) -> _Call | None:
        place, elf = call.place, parse_elf(head)
        if elf is None or not elf.is_program:
            trouble = _trouble(Problem.MALFORMED_ELF, place.asked, prints=call.prints(NO_FORMAT))
            self._add(call, Form.PROGRAM, elf=elf, trouble=trouble)
            return None
        fits = fit(elf, self._architecture)
        if fits in {Fit.NO, Fit.PERHAPS}:
            detail = f"{elf.name}, and the image is for {self._architecture}"
            prints, kind = call.prints(NO_FORMAT), Problem.WRONG_MACHINE
            certain = fits is Fit.NO
            trouble = _trouble(kind, place.asked, detail, prints, certain=certain)
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

    async def _in_turn(self, call: _Call) -> _Call | None:
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
            self._blame(_trouble(kind, self._writer(call), detail, certain=False))
        return None

    def _writer(self, call: _Call) -> str:
        """The file whose first line is to be corrected, or the program that was named."""
        return self._steps[-2].path if call.scripts else call.argv[0]

    async def _wrapped(self, call: _Call, wrapped: Wrapped) -> _Call | None:
        name, by = wrapped.argv[0], call.argv[0]
        if wrapped.split and posixpath.basename(call.place.path) == "busybox":
            kind = Problem.SPLIT_UNSUPPORTED
            self._blame(_trouble(kind, call.place.asked, certain=False))
        if "/" in name:
            found = await self._tree.walk(name, self._base)
        else:
            path = LIBC_PATH if wrapped.path is None else wrapped.path
            found = await _search(self._tree, name, path.split(":"), self._base)
        kinds = (Problem.NAME_ABSENT, Problem.NAME_NOT_EXECUTABLE)
        turn = _Call(place=found, argv=wrapped.argv, first=name, by=by, path=wrapped.path)
        missing = _missing(found, name, self._writer(call), kinds, turn)
        if missing is not None:
            self._blame(missing)
        return turn if found.status is Status.FOUND else None

    async def _read(self, call: _Call, name: str) -> None:
        """The file that a shell or Python is given to read: it needs no execute bit."""
        operand = parse_interpreter(name, call.argv[1:])
        if operand is None:
            return
        word, detail = operand.word, f"the argument {operand.word!r} of {name}"
        if operand.is_option:
            self._blame(_trouble(Problem.CARRIAGE_RETURN, self._writer(call), detail))
            return
        shell = name in SHELLS
        dash = shell and posixpath.basename(call.place.path) == "dash"
        place = await self._tree.walk(word, self._base)
        if place.status is Status.ABSENT and shell and not dash and "/" not in word:
            # bash looks for it along PATH then.
            directories = (call.path or LIBC_PATH).split(":")
            along = await _search(self._tree, word, directories, self._base)
            place = place if along.status is Status.ABSENT else along
        if place.status in _NOTHING:
            prints = f"{name}: {word}: {NO_FILE}"
            if dash:
                prints = f"{name}: 0: cannot open {word}: No such file"
            elif not shell:
                full = word if word.startswith("/") else f"{self._base}/{word}"
                prints = f"{name}: can't open file {full!r}: [Errno 2] {NO_FILE}"
            if word.endswith("\r"):
                self._blame(_trouble(Problem.CARRIAGE_RETURN, self._writer(call), detail, prints))
            else:
                self._blame(_trouble(Problem.SCRIPT_ABSENT, call.argv[0], repr(word), prints))
            return
        trouble = _unreadable(name, place) if shell else None
        known = any(step.resolved == place.path for step in self._steps)
        if trouble is not None or (place.is_file and not known):
            self._add(replace(call, place=place), Form.READ, trouble=trouble)


_NOTHING = (Status.ABSENT, Status.BROKEN_LINK, Status.LINK_LOOP, Status.NOT_A_DIRECTORY)


def _missing(
    found: Place, name: str, blamed: str, kinds: tuple[Problem, Problem], call: _Call
) -> Trouble | None:
    """None when it can be executed, or when only a running container could tell."""
    if found.status in {Status.FOUND, Status.MOUNTED}:
        return None
    if found.status is Status.LINK_LOOP:
        return _trouble(kinds[0], blamed, repr(name), call.prints(TOO_MANY_LINKS))
    if found.status not in _NOTHING:
        return _trouble(kinds[1], blamed, repr(name), call.prints(NO_PERMISSION))
    if name.endswith("\r"):
        detail = f"the name {name!r}"
        return _trouble(Problem.CARRIAGE_RETURN, blamed, detail, call.prints(NO_FILE))
    return _trouble(kinds[0], blamed, repr(name), call.prints(NO_FILE))


def _refused(kind: Problem, call: _Call, detail: str = "") -> Trouble:
    """The kernel does not know the format. The engine gives up; execvp() of a C library tries
    the shell, which may understand the file.
    """
    prints, certain = call.prints(NO_FORMAT), not call.by
    return _trouble(kind, call.place.asked, detail, prints, certain=certain)


_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def _not_a_program(call: _Call, head: bytes) -> Trouble:
    if not head:
        return _refused(Problem.EMPTY_FILE, call)
    if head.startswith(_MARKS):
        return _refused(Problem.BYTE_ORDER_MARK, call)
    return _refused(Problem.NO_SHEBANG, call, repr(head.partition(b"\n")[0][:32])[1:])


def _unreadable(shell: str, place: Place) -> Trouble | None:
    if place.status is Status.IS_DIRECTORY:
        prints = f"{shell}: {place.asked}: Is a directory"
        return _trouble(Problem.SCRIPT_IS_DIRECTORY, place.asked, shell, prints)
    head = place.entry.head if place.entry is not None else b""
    if head[:4] == MAGIC:
        return _trouble(Problem.SCRIPT_IS_BINARY, place.asked, shell)
    for line in head.split(b"\n"):
        if line.endswith(b"\r") and line.strip() and not line.lstrip().startswith(b"#"):
            # Not certain: the last word of a command may bear it (`exec serve "$@"`).
            detail = f"the line {line[:60].decode('utf-8', 'backslashreplace')!r}"
            return _trouble(Problem.CARRIAGE_RETURN, place.asked, detail, certain=False)
    return None
