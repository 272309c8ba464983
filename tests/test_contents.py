"""What is found in an image and in a model archive, and what the checks make of it. No engine."""

from __future__ import annotations

import dataclasses
import posixpath
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests import test_contents as chapter
from contract_tests import test_filesystem as filesystem
from contract_tests.archive import SHOWN, listed, odd_layout
from contract_tests.asking import asked_for, judges_archives, unmet
from contract_tests.catalogue import checks
from contract_tests.check import Blocked, ContractViolation, NotApplicable
from contract_tests.contents import Contents, hidden, keep_alive_lines, read_contents
from contract_tests.contents_model import blamed, named
from contract_tests.executable import resolve
from contract_tests.settings import Payload, Settings
from contract_tests.written import (
    LEAK_BYTES,
    LOG_FILE,
    REQUESTS,
    Growth,
    Watched,
    Written,
    closed_to_others,
    grown,
    watch,
)
from emulator.engines import Capability, FileEntry, FileKind
from emulator.http import Outcome, Reply
from emulator.instance import PING
from emulator.model_data import ArchiveRefused
from tests.test_executable import FakeFiles, File, Link, at_once, image

JSON = Payload(name="a.json", content_type="application/json", body=b"{}")
NOTHING = Contents(drivers=(), cuda="", closed_caches=(), training=(), keeps_alive=())
SHELL = File(b"\x7fELF" + b"\0" * 60)
CHECKS = {check.id: check for check in checks()}


class Files(FakeFiles):
    async def lookup(self, path):
        found = await super().lookup(path)
        return found and dataclasses.replace(found, size_bytes=len(found.head))


def found_in(paths, *, environment=None, entrypoint=(), architecture="amd64"):
    environment = {"PATH": "/usr/bin:/bin", **(environment or {})}
    described = dataclasses.replace(
        image(entrypoint=entrypoint, architecture=architecture), environment=environment
    )
    files = Files({"/bin/sh": SHELL, **paths})

    async def look():
        program = await resolve(described, files)
        return await read_contents(described, files, program, environment)

    return at_once(look())


# -- the driver -----------------------------------------------------------------------------------

LIBRARIES = "/usr/lib/x86_64-linux-gnu"


@pytest.mark.parametrize("name", ["libcuda.so.1", "libnvidia-ml.so.1"])
@pytest.mark.parametrize("place", [LIBRARIES, "/usr/lib64", "/opt/nvidia"])
def test_a_driver_is_found_where_the_loader_looks(name, place):
    paths = {f"{place}/{name}": Link("driver.535"), f"{place}/driver.535": File(b"\x7fELF")}
    found = found_in(paths, environment={"LD_LIBRARY_PATH": "/opt/nvidia:relative"})
    assert found.drivers == (f"{place}/driver.535",)


@pytest.mark.parametrize(
    "paths",
    [
        {f"{LIBRARIES}/libcudart.so.12": File(b"\x7fELF")},
        {f"{LIBRARIES}/libcuda.so.1": File(b"")},  # left by the mount of a build on a GPU machine
        {f"{LIBRARIES}/libcuda.so.1": Link("nowhere")},
        {"/usr/local/cuda/compat/libcuda.so.1": File(b"\x7fELF")},
        {
            f"{LIBRARIES}/libcuda.so.1": Link("/usr/local/cuda/lib64/stubs/libcuda.so"),
            "/usr/local/cuda/lib64/stubs/libcuda.so": File(b"\x7fELF"),
        },
    ],
    ids=["toolkit", "empty", "broken link", "compat", "stubs"],
)
def test_what_nvidias_base_images_hold_is_no_driver(paths):
    searched = {"LD_LIBRARY_PATH": "/usr/local/cuda/compat"}
    assert found_in(paths, environment=searched).drivers == ()


def test_another_architectures_libraries_are_looked_for_in_their_place():
    paths = {"/usr/lib/aarch64-linux-gnu/libcuda.so.1": File(b"\x7fELF")}
    assert found_in(paths, architecture="arm64").drivers == tuple(paths)
    assert found_in(paths).drivers == ()


@pytest.mark.parametrize(
    ("environment", "paths", "words"),
    [
        ({}, {}, ""),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, {}, ""),
        ({"CUDA_VERSION": "12.4"}, {}, ""),
        ({"CUDA_VERSION": "12.4"}, {"/usr/local/cuda/x": File()}, "CUDA 12.4"),
        ({"NVIDIA_REQUIRE_CUDA": "cuda>=12"}, {}, "CUDA (NVIDIA_REQUIRE_CUDA)"),
    ],
)
def test_a_gpu_base_is_known_by_what_nvidia_sets(environment, paths, words):
    assert found_in(paths, environment=environment).cuda.startswith(words)
    assert bool(found_in(paths, environment=environment).cuda) == bool(words)


# -- caches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "closed"),
    [
        ("/root/.cache/huggingface", True),
        ("/root/not/there/yet", True),
        ("/tmp/hf", False),
        ("/opt/cache", False),  # nobody else may write there, which baked files do not need
        ("/nowhere/at/all", False),
        ("/opt/ml/model", False),
        ("relative/cache", False),
        ("", False),
        ("/closed/a/b", True),
    ],
)
def test_a_cache_is_closed_when_a_directory_on_the_way_is(value, closed):
    paths = {"/root": 0o700, "/root/.cache": 0o755, "/tmp": 0o777, "/opt/cache": 0o755,
             "/closed/a": 0o750, "/opt/ml/model": 0o700}  # fmt: skip
    found = found_in(paths, environment={"HF_HOME": value}).closed_caches
    assert bool(found) == closed
    assert all(f"HF_HOME={value}, and the directory " in words for words in found)


def test_a_list_of_directories_is_taken_apart():
    environment = {"NLTK_DATA": "/usr/share/nltk:/root/nltk"}
    (found,) = found_in({"/root": 0o700}, environment=environment).closed_caches
    assert found == "NLTK_DATA=/root/nltk, and the directory /root has mode 0700"


def test_other_variables_may_point_anywhere():
    assert not found_in({"/root": 0o700}, environment={"HOME": "/root"}).closed_caches


# -- training images ------------------------------------------------------------------------------

KIT = File(b"#!/bin/sh\nfrom sagemaker_training.cli.train import main\n")
OLD = File(b"#!/bin/sh\nfrom sagemaker_containers.cli.serve import main\n")


@pytest.mark.parametrize(
    ("paths", "entrypoint", "signs"),
    [
        ({"/usr/bin/train": KIT}, (), 1),
        ({"/usr/bin/train": KIT, "/usr/bin/serve": File(b"#!/bin/sh\n")}, (), 0),
        ({"/usr/bin/train": File(b"#!/bin/sh\npython train.py\n")}, (), 0),
        ({}, ("python3", "/opt/ml/code/train.py"), 1),
        ({}, ("python3", "/app/server.py"), 0),
        ({"/usr/bin/serve": OLD}, (), 1),
        ({"/usr/bin/serve": OLD, "/usr/bin/nginx": SHELL}, (), 0),
    ],
)
def test_signs_of_an_image_that_only_trains(paths, entrypoint, signs):
    assert len(found_in(paths, entrypoint=entrypoint).training) == signs


def start(ready, words="exited with code 1", *, reply=None, log=""):
    report = SimpleNamespace(describe=lambda: words, log_tail=log)
    return SimpleNamespace(
        ready=ready, start=report, first_invocation=reply, logs=lambda tail=50: log
    )


def target(first=None, *, model_data=None, model_dir=None, refused=None, profile="serverless",
           log="", volumes=(), user=""):  # fmt: skip
    described = dataclasses.replace(image(), volumes=volumes, user=user)
    return SimpleNamespace(
        image=described,
        settings=Settings(image=("x",), profile=profile, model_data=model_data),
        first=first,
        refused=refused,
        archive_refused=None,
        model_dir=model_dir,
        notes={"own model": []},
        last_log=lambda: log,
        container=lambda: first,
        engine=SimpleNamespace(capabilities=frozenset(Capability)),
    )


TRAINS = dataclasses.replace(NOTHING, training=("/x is the SageMaker training toolkit's",))


def test_an_image_for_both_that_serves_is_no_training_image():
    chapter.test_not_training_only(target(start(True)), TRAINS)


def test_without_a_sign_nothing_is_started():
    class Asked:
        @property
        def first(self):
            raise AssertionError("a start that nothing needs")

    chapter.test_not_training_only(Asked(), NOTHING)


def test_a_training_image_is_told_with_what_serve_did():
    broken = target(start(False, "exited with code 127: serve: command not found"))
    with pytest.raises(ContractViolation, match="toolkit's; with `serve`: exited with code 127"):
        chapter.test_not_training_only(broken, TRAINS)
    refused = target(None, refused='exec: "serve": executable file not found')
    with pytest.raises(ContractViolation, match="executable file not found"):
        chapter.test_not_training_only(refused, TRAINS)


def test_a_server_that_misses_a_module_is_not_called_a_training_image():
    broken = target(start(False, "exited with code 1: ModuleNotFoundError: joblib"))
    with pytest.raises(NotApplicable, match="another reason"):
        chapter.test_not_training_only(broken, TRAINS)
    named_so = dataclasses.replace(NOTHING, training=("ENTRYPOINT names train.py",))
    with pytest.raises(ContractViolation):
        chapter.test_not_training_only(broken, named_so)


# -- what keeps a container alive -----------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "tail -f /dev/null",
        "exec tail -f /dev/null",
        "tail -F /dev/null",
        "sleep infinity",
        "exec sleep infinity",
        "sleep inf",
        "server & sleep infinity",
        'subprocess.call(["tail", "-f", "/dev/null"])',
        "subprocess.call(['sleep', 'infinity'])",
        "    tail --follow /dev/null  # keeps the container",
    ],
)
def test_a_line_that_keeps_a_container_alive_is_found(line):
    text = f"#!/bin/sh\nserver &\n{line}\n"
    assert list(keep_alive_lines(text)) == [(3, line.strip())]


@pytest.mark.parametrize(
    "line",
    [
        "# tail -f /dev/null",
        "tail -f /var/log/server.log &",
        "tail -n 1 /dev/null",
        "sleep 5",
        "sleep infinity &",
        "tail -f /dev/null &",
        "sleep information",
        "while kill -0 $server; do sleep 1; done",
        "exec gunicorn app:app",
        "cat /dev/null",
    ],
)
def test_a_line_that_does_something_else_is_not(line):
    assert not list(keep_alive_lines(f"#!/bin/sh\n{line}\n"))


@given(st.text(max_size=200))
def test_no_text_is_too_strange_to_be_read(text):
    lines = text.splitlines()
    for number, line in keep_alive_lines(text):
        assert lines[number - 1].strip() == line


def test_the_scripts_on_the_way_to_the_program_are_read():
    script = b"#!/bin/sh\nserver &\nsleep infinity\n"
    found = found_in({"/usr/bin/serve": File(script)})
    assert found.keeps_alive == ("/usr/bin/serve, line 3: sleep infinity",)
    assert not found_in({"/usr/bin/serve": File(b"#!/bin/sh\nexec server\n")}).keeps_alive


KEPT = dataclasses.replace(NOTHING, keeps_alive=("/usr/bin/serve, line 9: sleep infinity",))


def running(*commands):
    return SimpleNamespace(processes=lambda: [SimpleNamespace(command=c) for c in commands])


def test_only_a_process_that_is_there_is_a_trick():
    chapter.test_no_keep_alive_trick(target(running("python3 server.py")), KEPT)
    chapter.test_no_keep_alive_trick(target(running("sleep infinity")), NOTHING)
    with pytest.raises(ContractViolation, match=r"line 9: sleep infinity: `sleep infinity` runs"):
        chapter.test_no_keep_alive_trick(target(running("bash serve", "sleep infinity")), KEPT)


# -- user, GPU, caches: what a profile makes of them ----------------------------------------------


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:1001"])
def test_root_by_any_name_is_root(user):
    chapter.test_runs_as_root(target(user=user))


@pytest.mark.parametrize("user", ["model", "1000", "1000:0", "nobody:root"])
def test_a_user_of_the_images_own_is_told(user):
    with pytest.raises(ContractViolation, match=user):
        chapter.test_runs_as_root(target(user=user))


@pytest.mark.parametrize(
    ("judge", "contents"),
    [
        (chapter.test_no_gpu_base, dataclasses.replace(NOTHING, cuda="CUDA 12")),
        (
            chapter.test_caches_open_to_others,
            dataclasses.replace(NOTHING, closed_caches=("HF_HOME=/root, and it is closed",)),
        ),
    ],
)
def test_what_only_serverless_lacks_is_not_held_against_instances(judge, contents):
    judge(target(), NOTHING)
    with pytest.raises(ContractViolation):
        judge(target(), contents)
    with pytest.raises(NotApplicable):
        judge(target(profile="realtime"), contents)


# -- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (["model.bin", "code/inference.py"], ""),
        (["code/inference.py"], ""),
        ([], ""),
        (["iris/model.json"], "everything lies in one directory, iris/"),
        (["iris/a/b", "iris/c"], "everything lies in one directory, iris/"),
        (["a/x", "b/y"], ""),
        (["model.bin", "._model.bin"], "it holds files of a Mac: ._model.bin"),
        (["m/x", "__MACOSX/m/._x"], "one directory, m/; it holds files of a Mac: __MACOSX/m/._x"),
        (["model.bin", "__MACOSX_notes"], ""),
    ],
)
def test_odd_layouts_of_an_archive(names, odd):
    assert odd_layout(names).endswith(odd)
    assert bool(odd_layout(names)) == bool(odd)


NAMES = st.lists(
    st.lists(st.sampled_from(["a", "b", "code", "._c"]), min_size=1, max_size=3).map("/".join)
)


@given(NAMES, st.sampled_from(["x.bin", "y.json"]))
def test_a_file_at_the_top_is_no_wrapping_directory(names, top):
    assert "one directory" not in odd_layout([*names, top])


@given(st.lists(st.text(min_size=1, max_size=5), max_size=8))
def test_a_list_shows_a_few_and_counts_the_rest(names):
    words = listed(names)
    assert words.startswith(", ".join(names[:SHOWN]))
    assert words.endswith(f" and {len(names) - SHOWN} more") or len(names) <= SHOWN


def test_what_model_data_brings_again_is_not_hidden():
    assert hidden(["a", "b/c"], ["b/c", "d"]) == ["a"]


OK = Reply(request=PING, outcome=Outcome.ANSWERED, seconds=0.0, status=200)
BAD = Reply(request=PING, outcome=Outcome.ANSWERED, seconds=0.0, status=500)
MISSING = "FileNotFoundError: '/opt/ml/model/model.json'"


def test_a_container_that_serves_proves_every_layout_right():
    assert blamed(target(start(True, reply=OK)), "odd", ["a/model.json"]) == ""


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (None, "it does not start"),
        (start(True), "--payload"),
        (start(False, "exited with code 1: no joblib"), "names no file"),
        (start(True, reply=BAD, log="KeyError: 'x'"), "names no file"),
    ],
)
def test_without_a_proof_no_layout_is_blamed(first, reason):
    with pytest.raises(NotApplicable, match=f"^odd; .*{reason}"):
        blamed(target(first), "odd", ["a/model.json"])


@pytest.mark.parametrize(
    "first",
    [
        start(False, f"exited with code 1: {MISSING}"),
        start(False, "exited with code 1", log=MISSING),
        start(True, reply=BAD, log="cannot read model.json"),
    ],
)
def test_a_container_that_names_a_file_of_the_model_blames_the_layout(first):
    assert blamed(target(first), "odd", ["a/model.json"]).startswith("with it, ")


@given(st.text(max_size=30), st.lists(st.text("abc/", min_size=1, max_size=6), max_size=4))
def test_a_name_is_found_where_it_stands(words, names):
    kept = [name for name in names if posixpath.basename(name)]
    assert not kept or named(f"{words} {posixpath.basename(kept[-1])} {words}", kept)


def test_a_volume_below_the_mounted_model_is_told(tmp_path):
    bad = target(volumes=("/opt/ml/model/cache", "/opt/ml/output"), model_dir=tmp_path)
    with pytest.raises(ContractViolation, match="VOLUME /opt/ml/model/cache, and"):
        chapter.test_model_mount_hides_nothing(bad, NOTHING)
    good = target(volumes=("/opt/ml/model", "/tmp"), model_dir=tmp_path)
    chapter.test_model_mount_hides_nothing(good, NOTHING)


def test_without_an_archive_that_unpacks_its_layout_is_not_judged():
    with pytest.raises(Blocked):
        chapter.test_model_mount_hides_nothing(target(), NOTHING)
    with pytest.raises(Blocked):
        chapter.test_archive_layout(target())


def test_what_the_mount_hides_is_told_when_the_container_misses_it(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    own = [
        FileEntry(path=f"/opt/ml/model/{name}", kind=FileKind.FILE, mode=0o644)
        for name in ("model.json", "labels.json")
    ]
    missing = target(start(False, "exited: no labels.json"), model_dir=tmp_path)
    missing.notes["own model"] = own
    with pytest.raises(ContractViolation, match=r"holds labels\.json there, which the mount hides"):
        chapter.test_model_mount_hides_nothing(missing, NOTHING)
    serves = target(start(True, reply=OK), model_dir=tmp_path)
    serves.notes["own model"] = own
    chapter.test_model_mount_hides_nothing(serves, NOTHING)


def test_a_refused_archive_is_told_with_its_reason_and_cure(tmp_path):
    archive = tmp_path / "model.tar.gz"
    bad = target(model_data=archive)
    chapter.test_archive_unpacks(bad)
    bad.archive_refused = ArchiveRefused(archive, "it is not gzip-compressed", "make it again")
    with pytest.raises(ContractViolation, match="it is not gzip-compressed") as told:
        chapter.test_archive_unpacks(bad)
    assert told.value.fix == "Make it again"
    assert str(archive) in told.value.reproduce


def test_checks_of_a_model_concern_only_runs_with_one(tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(b"")
    none = Settings(image=("x",))
    directory = dataclasses.replace(none, model_data=tmp_path)
    archive = dataclasses.replace(none, model_data=tmp_path / "model.tar.gz")
    asked = {
        name: [asked_for(CHECKS[name], settings) for settings in (none, directory, archive)]
        for name in ("archive-unpacks", "archive-layout", "model-mount-hides-nothing")
    }
    assert asked == {
        "archive-unpacks": [False, False, True],
        "archive-layout": [False, True, True],
        "model-mount-hides-nothing": [False, True, True],
    }
    assert "--model-data model.tar.gz" in unmet(CHECKS["archive-unpacks"], directory, (), {})
    assert "--model-data" in unmet(CHECKS["archive-layout"], none, (), {})
    assert not unmet(CHECKS["archive-unpacks"], archive, (), {})
    assert judges_archives(CHECKS.values())
    assert not judges_archives([CHECKS["archive-layout"]])


# -- what requests leave behind -------------------------------------------------------------------


class Disk:
    """A container's disk that a request changes."""

    def __init__(self, request, *, size=0, told=True, status=200, seconds=0.01):
        self.files = {"/tmp/start": size}
        self.request, self.told, self.status, self.seconds = request, told, status, seconds
        self.count = self.looks = self.printed = 0

    def invoke(self, payload):
        self.count += 1
        self.request(self)
        return Reply(
            request=PING, outcome=Outcome.ANSWERED, seconds=self.seconds, status=self.status
        )

    def written_bytes(self):
        return sum(self.files.values()) if self.told else None

    def changed_paths(self):
        self.looks += 1
        return list(self.files)

    def file_bytes(self, path):
        return self.files.get(path)

    def lines(self):
        return [None] * self.printed

    def logs(self, tail=50):
        return "listening"


def leaves_nothing(disk):
    disk.printed += 1


def leaves_a_file(disk):
    disk.files[f"/tmp/{disk.count}"] = 10


def fills_a_cache_once(disk):
    disk.files["/tmp/cache"] = 10**9


def appends(disk, size=10**6):
    disk.files["/data"] = disk.files.get("/data", 0) + size


def logs_to_a_file(disk):
    disk.files["/var/log/app.log"] = disk.files.get("/var/log/app.log", 0) + 80


@pytest.mark.parametrize(
    ("request_", "leaks"),
    [
        (leaves_nothing, False),
        (leaves_a_file, True),
        (fills_a_cache_once, False),
        (appends, True),
        (logs_to_a_file, False),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["size told", "no size"])
def test_what_each_request_leaves_is_a_leak(request_, leaks, told):
    seen = watch(Disk(request_, told=told), JSON)
    if request_ is appends and not told:
        leaks = False  # the same file, of a size that nobody tells
    assert bool(seen.rounds and seen.rounds[-1].leaks) == leaks


def test_a_disk_that_does_not_grow_is_not_searched():
    disk = Disk(leaves_nothing)
    assert watch(disk, JSON).rounds == ()
    assert (disk.looks, disk.count) == (0, REQUESTS)


def test_a_slow_request_is_sent_once_per_round():
    disk = Disk(leaves_nothing, seconds=20.0)
    watch(disk, JSON)
    assert disk.count == 1


def test_of_a_request_that_fails_nothing_is_concluded():
    assert watch(Disk(leaves_a_file, status=500), JSON).rounds == ()


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), max_size=4),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), max_size=4),
)
def test_growth_is_what_is_new_or_larger(old, new):
    def moment(logs):
        return Written(
            size_bytes=sum(logs.values()), paths=frozenset(logs), logs=logs, lines=len(logs)
        )

    found = grown(moment(old), moment(new), 1)
    assert found.size_bytes == sum(new.values()) - sum(old.values())
    assert set(found.paths) == set(new) - set(old)
    assert all(new[path] > old.get(path, 0) for path in found.logs)


def test_a_few_bytes_for_each_request_are_no_leak():
    small = Growth(requests=4, size_bytes=4 * LEAK_BYTES - 1, paths=("a",), logs=(), lines=0)
    assert not small.leaks
    assert dataclasses.replace(small, size_bytes=4 * LEAK_BYTES).leaks
    assert dataclasses.replace(small, paths=("a", "b", "c", "d")).leaks
    assert "4 requests left 1 new files" in str(small)


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("/var/log/nginx/access", True),
        ("/app/logs/ts_log", True),
        ("/tmp/server.log", True),
        ("/tmp/server.log.1", True),
        ("/tmp/catalog", False),
        ("/opt/blog/post", False),
    ],
)
def test_logs_are_known_by_their_names(path, log):
    assert bool(LOG_FILE.search(path)) == log


def judged(request_, judge, *, profile="serverless", **disk):
    here = target(profile=profile)
    here.settings = dataclasses.replace(here.settings, payload=(JSON,))
    here.pause = lambda seconds: None
    judge(here, Disk(request_, **disk))


@pytest.mark.parametrize("request_", [leaves_nothing, fills_a_cache_once, logs_to_a_file])
def test_a_disk_that_stays_as_it_is_passes(request_):
    judged(request_, filesystem.test_disk_does_not_fill)


def test_a_disk_that_fills_is_told_with_an_example():
    with pytest.raises(ContractViolation, match="4 requests left 4 new files and 40 bytes, as /tm"):
        judged(leaves_a_file, filesystem.test_disk_does_not_fill)


def test_five_gigabytes_are_all_that_serverless_gives():
    full = 5 * 10**9 + 1
    with pytest.raises(ContractViolation, match="5,000,000,001 bytes after start"):
        judged(leaves_nothing, filesystem.test_disk_does_not_fill, size=full)
    judged(leaves_nothing, filesystem.test_disk_does_not_fill, size=full, profile="realtime")


def test_logs_of_requests_that_are_only_in_a_file_are_told():
    with pytest.raises(ContractViolation, match=r"/var/log/app\.log grew"):
        judged(logs_to_a_file, filesystem.test_requests_log_to_stdout)

    def both(disk):
        logs_to_a_file(disk)
        disk.printed += 1

    for request_ in (both, leaves_nothing, leaves_a_file):
        judged(request_, filesystem.test_requests_log_to_stdout)


def test_a_line_that_comes_late_is_no_silence():
    here = target()
    here.notes["written"] = Watched(
        size_bytes=0, lines=3, rounds=tuple(grown_logs() for _ in range(1))
    )
    here.pause = lambda seconds: setattr(late, "printed", 4)
    late = Disk(leaves_nothing)
    late.printed = 3
    filesystem.test_requests_log_to_stdout(here, late)


def grown_logs():
    return Growth(requests=4, size_bytes=9, paths=(), logs=("/var/log/a",), lines=0)


def test_a_container_without_any_output_is_left_to_the_check_that_says_so():
    silent = Disk(logs_to_a_file)
    silent.logs = lambda tail=50: ""
    here = target()
    here.settings = dataclasses.replace(here.settings, payload=(JSON,))
    with pytest.raises(NotApplicable, match="logs-reach-stdout"):
        filesystem.test_requests_log_to_stdout(here, silent)


# -- where others may not write -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "places"),
    [
        ([], []),
        (["/tmp", "/tmp/x"], []),
        (["/run", "/run/nginx.pid"], ["/run"]),
        (["/open", "/open/new/deep"], []),
        (["/var/lib/nginx/body", "/var/lib/nginx"], ["/var/lib/nginx"]),
        (["/app/file"], ["/app"]),
        (["/app/__pycache__/a.pyc"], []),
        (["/root/.cache/x"], ["/root"]),
        (["/new-at-the-top"], ["/"]),
        (["/opt/ml/model/lock"], []),
    ],
)
def test_directories_where_only_their_owner_may_write(written, places):
    files = FakeFiles(
        {"/tmp": 0o1777, "/run": 0o755, "/open": 0o777, "/var/lib/nginx": 0o755,
         "/app/file": File(mode=0o644), "/root": 0o700}
    )  # fmt: skip
    assert at_once(closed_to_others(written, files)) == places


def test_a_link_leads_to_where_it_is_written():
    files = FakeFiles({"/var/run": Link("/run"), "/run": 0o755})
    assert at_once(closed_to_others(["/var/run/x.pid"], files)) == ["/run"]
