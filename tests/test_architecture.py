"""Owns: the rules of ARCHITECTURE.md on who may import whom, read from the source by `ast`;
nothing is executed. A rule here and its sentence there are changed together.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("emulator", "contract_tests")
MOST_LINES = 300

TIME = "emulator/clock.py"
VIRTUAL_TIME = "emulator/fake_clock.py"
DOCKER = re.compile(r"emulator/engines/(docker\w*|connect)\.py")
CLOCK_CALLS = {
    "asyncio.sleep", "anyio.sleep", "datetime.now", "datetime.utcnow", "datetime.today",
    "date.today", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
    "threading.Timer", "loop.time",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported name; `name` is empty for `import module`."""

    module: str
    name: str
    line: int

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


class Module:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text, self.name)
        self.imports = list(self._imports())

    def _imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (
                    Import(module=alias.name, name="", line=node.lineno) for alias in node.names
                )
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}:{node.lineno}: imports are absolute"
                module = node.module or ""
                yield from (
                    Import(module=module, name=alias.name, line=node.lineno) for alias in node.names
                )

    def at(self, line: int) -> str:
        return f"{self.name}:{line}"


MODULES = [
    Module(path)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "__pycache__" not in path.parts
]


def broken(rule: Callable[[Module], object]) -> dict[str, object]:
    """What each module has against the rule; one test for all, for each is quicker than a test."""
    return {module.name: found for module in MODULES if (found := rule(module))}


def source(text: str, name: str = "emulator/example.py") -> Module:
    """A module that is not there, to try a rule on."""
    module = Module.__new__(Module)
    module.name, module.text, module.tree = name, text, ast.parse(text)
    module.imports = list(module._imports())
    return module


# The rules: each gives the places that break it.


def imports_the_other_package(module: Module) -> list[str]:
    forbidden = {"contract_tests", "tests", "fixtures", "benchmarks", "container"}
    if module.name.startswith("contract_tests/"):
        forbidden.remove("contract_tests")
    return [module.at(i.line) for i in module.imports if i.top in forbidden]


def imports_docker(module: Module) -> list[str]:
    if DOCKER.fullmatch(module.name):
        return []
    return [module.at(i.line) for i in module.imports if i.top == "docker"]


def touches_time(module: Module) -> list[str]:
    if module.name == TIME:
        return []
    found = [module.at(i.line) for i in module.imports if i.top == "time"]
    found += [
        module.at(i.line)
        for i in module.imports
        if (i.module, i.name) in (("asyncio", "sleep"), ("anyio", "sleep"))
    ]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCK_CALLS:
            zero = [ast.unparse(argument) for argument in node.args] == ["0"]
            if not (module.name == VIRTUAL_TIME and zero):
                found.append(module.at(node.lineno))
    return found


def private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def uses_private_names(module: Module) -> list[str]:
    ours = {i.name or i.module.rpartition(".")[2] for i in module.imports if i.top in PACKAGES}
    found = [
        module.at(i.line)
        for i in module.imports
        if i.top in PACKAGES
        and (private(i.name) or any(private(part) for part in i.module.split(".")))
    ]
    found += [
        module.at(node.lineno)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and private(node.attr)
        and isinstance(node.value, ast.Name)
        and node.value.id in ours
    ]
    return found


# The tree keeps them.


def test_both_packages_are_read() -> None:
    names = {module.name for module in MODULES}
    assert {"emulator/instance.py", "emulator/engines/__init__.py"} <= names
    assert {"contract_tests/run.py", "contract_tests/test_ping.py"} <= names


def test_contract_tests_import_the_emulator_never_the_reverse() -> None:
    assert broken(imports_the_other_package) == {}


def test_only_the_docker_engine_imports_docker() -> None:
    assert broken(imports_docker) == {}


def test_only_the_clock_touches_time() -> None:
    assert broken(touches_time) == {}


def test_nobody_uses_a_private_name_of_another_module() -> None:
    assert broken(uses_private_names) == {}


def test_no_module_is_long_and_one_that_is_should_be_split_by_what_it_owns() -> None:
    lines = {module.name: len(module.text.splitlines()) for module in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def lacks_its_words(module: Module) -> bool:
    said = ast.get_docstring(module.tree) or ""
    # A package's own file without code only names the package.
    code = [n for n in module.tree.body if not isinstance(n, (ast.Expr, ast.Assign))]
    if code or not module.name.endswith("__init__.py"):
        return not (re.search(r"\bOwns:\s", said) and re.search(r"\bMust\s+not\s+know:\s", said))
    return not said


def test_every_module_says_what_it_owns_and_what_it_must_not_know() -> None:
    assert broken(lacks_its_words) == {}


def evaluates_annotations(module: Module) -> bool:
    named = {(i.module, i.name) for i in module.imports}
    return bool(named) and ("__future__", "annotations") not in named


def test_annotations_are_never_evaluated() -> None:
    assert broken(evaluates_annotations) == {}


def test_no_module_names_a_path_of_the_machine_it_was_written_on() -> None:
    assert broken(lambda module: re.findall(r"/(?:work|home|root)/\w+", module.text)) == {}


def loaded_at_import(name: str) -> set[str]:
    (found,) = [module for module in MODULES if module.name == name]
    at_import = [n for n in found.tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    return {
        str(node.module) if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in at_import
    }


def test_the_plugin_loads_nothing_heavy_when_it_is_imported() -> None:
    assert loaded_at_import("contract_tests/options.py") == {
        "__future__", "collections.abc", "typing",
    }  # fmt: skip
    assert loaded_at_import("contract_tests/__init__.py") == set()
    loaded = loaded_at_import("contract_tests/plugin.py") - {"contract_tests.options"}
    assert not {str(name).partition(".")[0] for name in loaded} & {
        "aiohttp", "anyio", "contract_tests", "docker", "emulator", "psutil", "requests",
    }  # fmt: skip


def test_the_emulator_has_no_import_cycle() -> None:
    known = {module.name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): module
             for module in MODULES}  # fmt: skip

    def needs(name: str) -> set[str]:
        found = set()
        for node in known[name].tree.body:  # what is imported later, inside a function, may cycle
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
            elif isinstance(node, ast.Import):
                found |= {a.name for a in node.names}
        return (found & set(known)) - {name}

    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in finished:
            for other in needs(name):
                visit(other, (*path, name))
            finished.add(name)

    for name in known:
        visit(name, ())
    assert finished == set(known)


# The rules find what they are for.


@pytest.mark.parametrize(
    ("rule", "text", "name"),
    [
        (imports_the_other_package, "import contract_tests.run", "emulator/cli.py"),
        (imports_the_other_package, "if 1:\n    from contract_tests import run", "emulator/x.py"),
        (imports_the_other_package, "from tests import x", "contract_tests/x.py"),
        (imports_docker, "import docker", "emulator/instance.py"),
        (imports_docker, "from docker.errors import APIError", "contract_tests/target.py"),
        (imports_docker, "import docker", "emulator/engines/podman.py"),
        (touches_time, "import time", "emulator/x.py"),
        (touches_time, "from time import monotonic", VIRTUAL_TIME),
        (touches_time, "from asyncio import sleep", "emulator/x.py"),
        (touches_time, "import asyncio\nasync def f():\n await asyncio.sleep(0)", "emulator/x.py"),
        (touches_time, "import asyncio\nasync def f():\n    await asyncio.sleep(1)", VIRTUAL_TIME),
        (touches_time, "from datetime import datetime\ndatetime.now()", "emulator/x.py"),
        (touches_time, "import datetime\ndatetime.datetime.now()", "emulator/x.py"),
        (uses_private_names, "from emulator.http import _fold", "emulator/x.py"),
        (uses_private_names, "from emulator._x import y", "emulator/x.py"),
        (uses_private_names, "from emulator import http\nhttp._fold([])", "contract_tests/x.py"),
    ],
)  # fmt: skip
def test_a_rule_finds_what_breaks_it(rule: object, text: str, name: str) -> None:
    assert rule(source(text, name)), text  # type: ignore[operator]


@pytest.mark.parametrize(
    ("rule", "text", "name"),
    [
        (imports_the_other_package, "from contract_tests import run", "contract_tests/x.py"),
        (imports_the_other_package, "from emulator import http", "contract_tests/x.py"),
        (imports_docker, "import docker", "emulator/engines/docker_image.py"),
        (imports_docker, "import docker", "emulator/engines/connect.py"),
        (imports_docker, "from emulator.engines import docker_engine", "contract_tests/run.py"),
        (touches_time, "import time\ntime.sleep(1)", TIME),
        (touches_time, "import asyncio\nasync def f():\n    await asyncio.sleep(0)", VIRTUAL_TIME),
        (uses_private_names, "class A:\n    def f(self):\n        self._x = 1", "emulator/x.py"),
        (uses_private_names, "from __future__ import annotations", "emulator/x.py"),
        (uses_private_names, "from emulator import __version__", "emulator/x.py"),
    ],
)
def test_a_rule_lets_the_rest_alone(rule: object, text: str, name: str) -> None:
    assert rule(source(text, name)) == []  # type: ignore[operator]
