"""`byoc doctor`: each finding follows from what was seen; ready is 0, no engine is 2."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import docker
import pytest

from contract_tests import doctor
from contract_tests.catalogue import checks
from contract_tests.doctor import examine, last_line, text
from contract_tests.doctor_machine import Machine, driver, emulated, this_machine
from emulator import __version__, cli, owner
from emulator.engines import Capability, EngineUnavailable
from emulator.engines.connect import Candidate
from emulator.engines.docker_abilities import abilities, shares_the_kernel
from emulator.engines.docker_about import About, about, look
from emulator.engines.docker_sweep import leftovers, sweep
from emulator.limits import GIB

MACHINE = Machine(
    python="3.11.7",
    executable="/usr/bin/python3",
    byoc="1.2.3",
    system="Linux",
    user_id=0,
    memory_free_bytes=16 * GIB,
    temporary="/tmp",
    temporary_free_bytes=50 * GIB,
    docker_program="/usr/bin/docker",
    buildx="github.com/docker/buildx v0.20.0",
    buildx_driver="docker",
    registry="/usr/bin/docker-registry",
    emulates=(),
)
ENGINE = About(
    name="docker",
    version="28.0.1",
    api_version="1.48",
    system="Debian",
    kernel="6.1",
    url="unix:///var/run/docker.sock",
    origin="Docker",
    chosen=False,
    architecture="amd64",
    same_kernel=True,
    cgroup_version="2",
    cgroup_driver="systemd",
    storage_driver="overlay2",
    containerd_store=False,
    rootless=False,
    cpus=4,
    memory_bytes=16 * GIB,
    root_directory=None,
    limits={"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True},
    warnings=(),
    capabilities=frozenset(Capability),
    leftovers=(),
)


def finding(identity, *, engine=None, machine=None):
    found = examine(
        dataclasses.replace(MACHINE, **(machine or {})),
        dataclasses.replace(ENGINE, **(engine or {})),
    )
    (one,) = [f for f in found if f.id == identity]
    return one


def test_a_machine_that_lacks_nothing_is_ready():
    found = examine(MACHINE, ENGINE)
    assert [f.id for f in found if f.state != "ok"] == []
    assert last_line(found) == "ready"
    assert text(found, 100).splitlines()[-1] == "ready"


def test_what_is_not_as_it_should_be_is_named_in_the_last_line_and_marked():
    found = examine(MACHINE, dataclasses.replace(ENGINE, leftovers=("container byoc-1",)))
    assert last_line(found) == "ready; look at: leftovers"
    assert [line for line in text(found, 100).splitlines() if line.startswith("!")] == [
        "! leftovers     1: container byoc-1"
    ]


def test_without_an_engine_the_last_line_says_what_to_do(monkeypatch, capsys):
    def nothing():
        raise EngineUnavailable("No engine's socket was found. Start one.")

    monkeypatch.setattr(doctor, "look", nothing)
    monkeypatch.setattr(doctor, "this_machine", lambda: MACHINE)
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "not ready: No engine's socket was found. Start one."
    assert "1.2.3, Python 3.11.7" in said
    assert cli.main(["doctor", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is False
    assert found["last_line"].endswith("Start one.")


def test_json_has_every_finding_with_its_values(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "look", lambda: ENGINE)
    monkeypatch.setattr(doctor, "this_machine", lambda: MACHINE)
    assert cli.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["ready"], found["last_line"]) == (1, True, "ready")
    by_id = {row["id"]: row for row in found["findings"]}
    assert list(by_id) == [f.id for f in examine(MACHINE, ENGINE)]
    assert by_id["engine"]["data"]["url"] == "unix:///var/run/docker.sock"
    assert by_id["memory"]["data"]["available_bytes"] == 16 * GIB


def test_no_finding_is_wider_than_the_terminal():
    lame = dataclasses.replace(ENGINE, capabilities=frozenset(), architecture="arm64")
    found = examine(MACHINE, lame)
    assert max(len(line) for line in text(found, 80).splitlines()[:-1]) <= 80


# -- the engine -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({}, "found where Docker listens"),
        ({"origin": "DOCKER_HOST", "chosen": True}, "chosen by DOCKER_HOST"),
        ({"origin": "docker context colima", "chosen": True}, "chosen by docker context colima"),
        ({"rootless": True}, "; rootless;"),
        ({}, "; not rootless;"),
    ],
)
def test_how_the_engine_was_found_is_told(engine, words):
    assert words in finding("engine", engine=engine).found


@pytest.mark.parametrize("capability", Capability)
def test_each_missing_capability_names_the_checks_that_it_costs(capability):
    word = capability.name.lower().replace("_", "-")
    one = finding(f"no-{word}", engine={"capabilities": frozenset(Capability) - {capability}})
    costs = [check.id for check in checks() if capability in check.requires]
    assert one.state == "note"
    assert one.data["skipped"] == costs
    assert capability.value in one.found
    for identity in costs:
        assert identity in one.means
    assert one.means  # also where no check is skipped


def test_the_capabilities_that_there_are_are_counted():
    able = frozenset({Capability.SOCKETS, Capability.OOM_EVENTS})
    one = finding("capabilities", engine={"capabilities": able})
    assert one.found == f"2 of {len(Capability)}: sockets, oom-events"
    assert len(one.data["missing"]) == len(Capability) - 2


@pytest.mark.parametrize(
    ("limit", "word"), [("MemoryLimit", "memory"), ("SwapLimit", "swap"), ("CpuCfsQuota", "CPU")]
)
def test_a_limit_that_the_engine_cannot_enforce_is_told(limit, word):
    one = finding("cgroup", engine={"limits": {limit: False}})
    assert one.state == "note"
    assert word in one.means
    assert finding("cgroup", engine={"limits": {}}).means == ""  # not told is not missing


# -- platform, push -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "machine", "state", "words"),
    [
        ({}, {}, "ok", "not emulated"),
        ({"architecture": "arm64"}, {"emulates": ("amd64",)}, "note", "to an emulator"),
        ({"architecture": "arm64"}, {"emulates": ()}, "note", "exec format error"),
        ({"architecture": "arm64"}, {"emulates": None}, "note", "cannot be seen from here"),
        # another kernel's emulators are not those of this one
        ({"architecture": "arm64", "same_kernel": False}, {"emulates": ("amd64",)}, "note",
         "cannot be seen from here"),
    ],
)  # fmt: skip
def test_what_linux_amd64_means_here(engine, machine, state, words):
    one = finding("platform", engine=engine, machine=machine)
    assert one.state == state
    assert words in one.found + one.means


@pytest.mark.parametrize(
    ("engine", "machine", "risk", "words"),
    [
        ({}, {}, False, "schema 2"),
        ({}, {"buildx": None, "buildx_driver": None}, False, "no buildx"),
        ({"containerd_store": True}, {}, True, "as it was built"),
        ({"name": "podman"}, {"buildx": None, "buildx_driver": None}, True, "--format docker"),
        ({}, {"buildx_driver": "docker-container"}, True, "driver docker-container"),
    ],
)
def test_what_a_push_would_send(engine, machine, risk, words):
    one = finding("push", engine=engine, machine=machine)
    assert one.data["oci_risk"] is risk
    assert (one.state == "note") is risk
    assert words in one.found + one.means


def test_the_drivers_name_is_read_from_buildx_inspect():
    said = "Name:          default\nDriver:        docker-container\nLast Activity: now\n\nNodes:\n"
    assert driver(said) == "docker-container"
    assert driver("") is None
    assert driver("Driver:\n") is None


def test_only_emulators_that_are_enabled_count(tmp_path):
    assert emulated(tmp_path / "absent") is None
    (tmp_path / "status").write_text("enabled\n")
    assert emulated(tmp_path) == ()
    magic = "offset 0\nmagic 7f454c460201010000000000000000000200{}\nmask ff\n"
    (tmp_path / "register").write_text("")
    (tmp_path / "python3.11").write_text("enabled\ninterpreter /x\noffset 0\nmagic a70d0d0a\n")
    (tmp_path / "rosetta").write_text("enabled\ninterpreter /r\n" + magic.format("3e00"))
    (tmp_path / "qemu-aarch64").write_text("disabled\ninterpreter /q\n" + magic.format("b700"))
    (tmp_path / "qemu-s390x").write_text("enabled\ninterpreter /q\n" + magic.format("1600"))
    assert emulated(tmp_path) == ("amd64",)


# -- memory, disk, registry -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "machine", "engine"),
    [
        ("memory", {"memory_free_bytes": GIB}, {}),
        ("temporary", {"temporary_free_bytes": GIB}, {}),
        ("engine-size", {}, {"memory_bytes": GIB}),
        ("registry", {"registry": None}, {}),
        ("leftovers", {}, {"leftovers": ("network byoc-1",)}),
    ],
)
def test_what_is_short_is_noted_with_what_follows(identity, machine, engine):
    one = finding(identity, machine=machine, engine=engine)
    assert one.state == "note"
    assert len(one.means) > 20
    assert finding(identity).state == "ok"


def test_what_the_engine_does_not_tell_is_called_unknown():
    silent = {"cgroup_version": None, "cgroup_driver": None, "storage_driver": None,
              "memory_bytes": None, "cpus": None, "root_directory": None}  # fmt: skip
    assert finding("cgroup", engine=silent).found == "version unknown, driver unknown"
    assert "unknown" in finding("storage", engine=silent).found
    assert finding("engine-size", engine=silent).found == "unknown CPUs, unknown memory in all"


def test_this_machine_is_looked_at_for_real():
    seen = this_machine()
    assert seen.byoc == __version__
    assert seen.executable == sys.executable
    assert seen.memory_free_bytes > 0
    assert seen.temporary_free_bytes > 0
    assert Path(seen.temporary).is_dir()


# -- asking an engine -----------------------------------------------------------------------------


class Api:
    """The SDK's low-level client, as far as it is asked what it is."""

    timeout = 0

    def __init__(self, info=None, version=None, held=()):
        self._info, self._version, self._held = info or {}, version or {}, list(held)
        self.removed = []

    def info(self):
        return self._info

    def version(self):
        return self._version

    def containers(self, **_):
        return self._held

    def networks(self, **_):
        return [{"Id": "n", "Name": "byoc-net", "Labels": {owner.OWNER: GONE}}]

    def volumes(self, **_):
        return {"Volumes": None}

    def remove_container(self, identity, **_):
        self.removed.append(identity)

    def remove_network(self, identity):
        self.removed.append(identity)


class Client:
    def __init__(self, api):
        self.api = api

    def version(self):
        return self.api.version()


GONE = f"{owner.host()}/999999999/1.00"


def container(identity, whose):
    return {"Id": identity, "Names": [f"/{identity}"], "Image": "x", "Labels": {owner.OWNER: whose}}


def asked(**told):
    candidate = Candidate(url="unix:///x.sock", origin="Docker")
    return about(Client(Api(info=told, version={"Version": "1"})), candidate)


def test_an_engine_that_tells_nothing_is_nothing_but_unknown():
    told = asked()
    assert (told.cgroup_version, told.storage_driver, told.memory_bytes) == (None, None, None)
    assert (told.rootless, told.containerd_store, told.same_kernel) == (False, False, False)
    assert told.disk_free_bytes is None
    assert dict(told.limits) == {}


def test_an_engines_words_are_kept():
    told = asked(
        Architecture="aarch64",
        CgroupVersion="2",
        Driver="overlayfs",
        DriverStatus=[["driver-type", "io.containerd.snapshotter.v1"]],
        SecurityOptions=["name=seccomp,profile=default", "name=rootless"],
        SwapLimit=False,
        NCPU=8,
    )
    assert (told.architecture, told.cgroup_version, told.cpus) == ("arm64", "2", 8)
    assert told.containerd_store
    assert told.rootless
    assert dict(told.limits) == {"SwapLimit": False}


def test_leftovers_are_exactly_what_a_sweep_takes_and_nothing_is_touched():
    api = Api(held=[container("gone", GONE), container("alive", owner.me())])
    found = leftovers(api)
    assert found == ["container gone", "network byoc-net"]
    assert api.removed == []
    assert [line.split(" of ")[0] for line in sweep(api, everything=False)] == found
    assert api.removed == ["gone", "n"]


def test_an_engine_on_another_kernel_or_asked_without_rights_can_less():
    whole = frozenset(Capability)
    assert abilities("docker", same_kernel=True, root=True) == whole
    assert abilities("docker", same_kernel=True, root=False) == whole - {Capability.INSIDE}
    assert abilities("podman", same_kernel=False, root=True) == whole - {
        Capability.INSIDE,
        Capability.OOM_EVENTS,
    }
    assert not shares_the_kernel({"KernelVersion": "0.0.0-other"})


def test_an_engine_that_breaks_while_it_is_asked_is_no_engine(monkeypatch):
    class Broken(Api):
        def info(self):
            raise docker.errors.APIError("500 Server Error")

    broken = Client(Broken())
    broken.close = lambda: None
    where = Candidate(url="unix:///x.sock", origin="Docker")
    monkeypatch.setattr("emulator.engines.docker_about.find", lambda *_: (broken, where))
    with pytest.raises(EngineUnavailable, match=re.escape("unix:///x.sock")):
        look()


@pytest.mark.docker
def test_the_engine_here_is_described_and_ready(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    by_id = {row["id"]: row for row in found["findings"]}
    client = docker.from_env()
    try:
        info = client.info()
    finally:
        client.close()
    assert found["ready"] is True
    assert by_id["engine"]["data"]["version"] == info["ServerVersion"]
    assert by_id["cgroup"]["data"]["version"] == info["CgroupVersion"]
    assert by_id["storage"]["data"]["driver"] == info["Driver"]
