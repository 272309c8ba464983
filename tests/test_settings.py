"""Owns: the claims of contract_tests/settings.py: four layers in one order, and every wrong value
told as `Usage` that names the setting and what came.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.deploy_settings import Script
from contract_tests.settings import (
    CONTENT_TYPES,
    KEYS,
    Payload,
    Settings,
    find_file,
    gather,
    read_payload,
)
from emulator.errors import Usage
from emulator.limits import MEMORY_SIZES_MB, Limits

JSON = Payload(name="one.json", content_type="application/json", body=b"1")


def project(directory: Path, table: str = "") -> Path:
    """A directory with payloads and, when given, a [tool.byoc] table."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.py").write_bytes(b"")
    for name in ("one.json", "two.json", "three.json"):
        (directory / name).write_bytes({"o": b"1", "t": b"2"}[name[0]])
    if table:
        (directory / "pyproject.toml").write_text(f"[tool.byoc]\n{table}\n", encoding="utf-8")
    return directory


def settings(
    directory: Path,
    command_line: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
) -> Settings:
    return gather(command_line or {}, environment or {}, directory)


# The four layers

LAYERS: dict[str, tuple[Any, str, str, Any, Any, Any, Any]] = {
    # key: command line, environment, TOML; what each gives, and the default
    "image": (["a"], "b,c", '["d"]', ("a",), ("b", "c"), ("d",), ()),
    "profile": (
        "realtime", "realtime", '"realtime"', "realtime", "realtime", "realtime", "serverless",
    ),
    "memory": ("1024", "3072", "4096", 1024, 3072, 4096, 2048),
    "payload": (
        ["one.json"],
        f"one.json{os.pathsep}one.json",
        '["one.json", "one.json", "one.json"]',
        (JSON,),
        (JSON, JSON),
        (JSON, JSON, JSON),
        (),
    ),
    "model-data": ("m1", "m2", '"m3"', "m1", "m2", "m3", None),
    "env": (["A=1"], "B=2,C=3", '{D = "4"}', {"A": "1"}, {"B": "2", "C": "3"}, {"D": "4"}, {}),
    "platform": (
        "linux/arm64",
        "linux/arm64/v8",
        '"linux/riscv64"',
        "linux/arm64",
        "linux/arm64/v8",
        "linux/riscv64",
        "linux/amd64",
    ),
    "engine": ("docker", "docker", '"docker"', "docker", "docker", "docker", "docker"),
    "startup-seconds": ("1.5", "2.5", "3.5", 1.5, 2.5, 3.5, None),
    "slow": (True, "true", "true", True, True, True, False),
    "examples": ("1", "20", "500", 1, 20, 500, 200),
    "strict": (True, "yes", "true", True, True, True, False),
    "report-json": ("r1", "r2", '"r3"', "r1", "r2", "r3", None),
    "report-html": ("r1", "r2", '"r3"', "r1", "r2", "r3", None),
    "sarif": ("r1", "r2", '"r3"', "r1", "r2", "r3", None),
    "template": (
        ["one.json"],
        f"one.json{os.pathsep}two.json",
        '["three.json", "one.json"]',
        ("one.json",),
        ("one.json", "two.json"),
        ("three.json", "one.json"),
        (),
    ),
    "template-parameter": (
        ["A=1"], "B=2,C=x=y", '{D = ["4", "5"], E = true}',
        {"A": "1"}, {"B": "2", "C": "x=y"}, {"D": "4,5", "E": "true"}, {},
    ),
    "deploy-script": (
        "run.py --name 'a b'", "run.py", '["run.py", "a b"]',
        ("run.py", "--name", "a b"), ("run.py",), ("run.py", "a b"), None,
    ),
    "region": ("eu-west-1", "us-east-2", '"ap-southeast-2"',
               "eu-west-1", "us-east-2", "ap-southeast-2", ""),
}  # fmt: skip
PATHS = ("model-data", "report-json", "report-html", "sarif")


def test_the_table_here_has_every_key() -> None:
    assert set(LAYERS) == set(KEYS)
    of_the_file_alone = {"exceptions"}
    found = {key.replace("-", "_") for key in KEYS} | of_the_file_alone
    assert found == set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("key", KEYS)
def test_the_command_line_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, key: str
) -> None:
    given, variable, toml, from_line, from_variable, from_file, default = LAYERS[key]
    name = key.replace("-", "_")
    environment = {"BYOC_" + name.upper(): variable}
    with_file = project(tmp_path / "with", f"{key} = {toml}")
    without = project(tmp_path / "without")

    def expected(value: Any, directory: Path) -> Any:
        if key == "template":
            return tuple((directory / one).resolve() for one in value)
        if key == "deploy-script" and value:
            program, *arguments = value
            words = (str((directory / program).absolute()), *arguments)
            return Script(words=words, directory=directory)
        return (directory / value).resolve() if key in PATHS and value else value

    def told(directory: Path, line: dict[str, Any], variables: dict[str, str]) -> Any:
        return getattr(settings(directory, line, variables), name)

    assert told(with_file, {key: given}, environment) == expected(from_line, with_file)
    assert told(with_file, {key: None}, environment) == expected(from_variable, with_file)
    assert told(with_file, {}, {}) == expected(from_file, with_file)
    assert told(without, {}, {}) == default


@pytest.mark.parametrize("nothing", [None, [], (), False])
def test_an_option_that_was_not_given_leaves_the_other_layers(tmp_path: Path, nothing: Any) -> None:
    line = dict.fromkeys(KEYS, nothing)
    assert settings(project(tmp_path, "memory = 1024"), line).memory == 1024


def test_a_zero_on_the_command_line_is_given_and_wrong(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="--memory must be a number of MB, as 2048, but is 0"):
        settings(tmp_path, {"memory": 0})


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert settings(tmp_path, environment={"BYOC_MEMORY": "", "BYOC_ENV": ""}) == Settings()


@pytest.mark.parametrize("word", ["0", "false", "no", "False", "NO"])
def test_a_variable_may_turn_off_what_the_file_turns_on(tmp_path: Path, word: str) -> None:
    assert not settings(project(tmp_path, "slow = true"), environment={"BYOC_SLOW": word}).slow


def test_lists_of_different_layers_are_not_mixed(tmp_path: Path) -> None:
    found = settings(project(tmp_path, 'env = {A = "1"}'), {"env": ["B=2"]})
    assert found.env == {"B": "2"}


def test_several_images_keep_their_order_and_one_in_a_file_may_be_a_text(tmp_path: Path) -> None:
    assert settings(tmp_path, {"image": ["b", "a", "b:1"]}).image == ("b", "a", "b:1")
    assert settings(project(tmp_path, 'image = "one"')).image == ("one",)


def test_other_variables_are_not_looked_at(tmp_path: Path) -> None:
    assert settings(tmp_path, environment={"MEMORY": "1024", "BYOC_OTHER": "x"}) == Settings()


# The file


def test_the_nearest_file_with_the_table_counts(tmp_path: Path) -> None:
    project(tmp_path, "memory = 1024")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\nmemory = 1\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir()
    assert find_file(inner) == tmp_path / "pyproject.toml"
    assert settings(inner).memory == 1024
    project(inner, "memory = 3072")
    assert settings(inner).memory == 3072


@pytest.mark.parametrize(
    "text",
    ["# [tool.byoc]", "[tool.byocx]", "[tool]\nx = '[tool.byoc]'", "", "not = toml = at all"],
    ids=["a comment", "a longer name", "a value", "empty", "no TOML"],
)
def test_a_file_without_the_table_is_passed_by(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert settings(tmp_path) == Settings()


@pytest.mark.parametrize(
    "text",
    ["[tool.byoc]\nenv = {A = '1'}", "[tool.byoc.env]\nA = '1'", "[ tool . byoc ]\nenv.A = '1'"],
)
def test_the_table_may_be_written_as_toml_allows(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert settings(tmp_path).env == {"A": "1"}


def test_a_file_is_read_as_utf_8_whatever_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    assert settings(project(tmp_path, 'env = {A = "é"}')).env == {"A": "é"}


def test_paths_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    project(
        tmp_path,
        'payload = ["one.json"]\nmodel-data = "model"\nreport-json = "out/report.json"',
    )
    inner = tmp_path / "inner"
    inner.mkdir()
    found = settings(inner)
    assert found.payload == (JSON,)
    assert found.model_data == (tmp_path / "model").resolve()
    assert found.report_json == (tmp_path / "out/report.json").resolve()


def test_paths_of_the_command_line_and_environment_are_relative_to_where_one_stands(
    tmp_path: Path,
) -> None:
    project(tmp_path, 'model-data = "other"')
    inner = project(tmp_path / "inner")
    found = settings(inner, {"payload": ["one.json"]}, {"BYOC_MODEL_DATA": "model"})
    assert found.payload == (JSON,)
    assert found.model_data == (inner / "model").resolve()


def test_an_absolute_path_stays_and_a_home_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings(Path("/"), {"model-data": str(tmp_path)}).model_data == tmp_path.resolve()
    assert settings(Path("/"), {"model-data": "~/m"}).model_data == (tmp_path / "m").resolve()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.byoc]\nmemroy = 1", ["'memroy', which byoc does not know", "It knows: image, "]),
        ("[tool.byoc]\nb = 1\na = 2", ["'a', 'b', which"]),
        ("[tool.byoc]\nstartup_seconds = 1", ["'startup_seconds'", "startup-seconds"]),
        ("[tool.byoc]\nmemory = ", ["is not valid TOML", "Invalid value"]),
        ("[tool.byoc]\nmemory = 1\nmemory = 2", ["is not valid TOML"]),
        (f"[tool.byoc]\nmemory = {'9' * 5000}", ["is not valid TOML"]),
        ("[[tool.byoc]]\nmemory = 1", ["must be one table", "[{'memory': 1}]"]),
    ],
    ids=["typo", "two", "underscore", "no value", "twice", "huge number", "array of tables"],
)
def test_a_wrong_file_is_told_with_its_name(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(text)
    with pytest.raises(Usage) as told:
        settings(tmp_path)
    for word in [str(file), *words]:
        assert word in str(told.value)


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.byoc]\nimage = '\xff'\n")
    with pytest.raises(Usage, match="is not valid TOML"):
        settings(tmp_path)


# Wrong values

WRONG: list[tuple[str, Any, str, str]] = [
    # key, value as TOML would give it, what was expected, what came
    ("image", 5, "a text or a list of texts", "5"),
    ("image", [5], "a text", "5"),
    ("image", ["a", " "], "a text", "' '"),
    ("profile", "async", "one of serverless, realtime", "'async'"),
    ("profile", "Serverless", "one of serverless, realtime", "'Serverless'"),
    ("profile", ["serverless"], "one of serverless, realtime", "['serverless']"),
    ("memory", "2 GB", "a number of MB, as 2048", "'2 GB'"),
    ("memory", "-1024", "a number of MB", "'-1024'"),
    ("memory", "0", "a number of MB", "'0'"),
    ("memory", 2048.0, "a number of MB", "2048.0"),
    ("memory", True, "a number of MB", "True"),
    ("memory", "9" * 5000, "a number of MB", "9999"),
    ("memory", "2000", "1024, 2048, 3072, 4096, 5120, 6144", "2000"),
    ("payload", 5, "a text or a list of texts", "5"),
    ("payload", "absent.json", "Give a file with one", "absent.json cannot be read (No such"),
    ("payload", ".;type=text/csv", "Give a file with one", "cannot be read (Is a directory)"),
    ("payload", "one.json/x.json", "Give a file", "cannot be read (Not a directory)"),
    ("payload", "n" * 300 + ".json", "Give a file", "cannot be read (File name too long)"),
    ("payload", "x.weights", "type=application/x-thing", "'.weights'"),
    ("payload", "x", "type=application/x-thing", "'no extension'"),
    ("payload", "one.json;type=", "Write it out: 'one.json;type=", "'' is no content type"),
    ("payload", "one.json;type=a/b\r\nX: y", "Write it out: 'one.json;type=", "is no content type"),
    ("payload", "a\0b.json", "no path that this machine knows", "a\\x00b.json"),
    ("model-data", 5, "a text", "5"),
    ("model-data", "", "a text", "''"),
    ("model-data", "a\0b", "no path that this machine knows", "a\\x00b"),
    ("model-data", "~no-such-user/x", "no path that this machine knows", "~no-such-user"),
    ("env", "A", "NAME=VALUE", "'A'"),
    ("env", ["A=1", ""], "NAME=VALUE", "''"),
    ("env", [5], "NAME=VALUE", "5"),
    ("env", 5, "NAME=VALUE", "5"),
    ("env", "=1", "letters, digits and _", "''"),
    ("env", "1A=1", "no digit first", "'1A'"),
    ("env", "A-B=1", "letters, digits and _", "'A-B'"),
    ("env", " A=1", "letters, digits and _", "' A'"),
    ("env", {"A\n": "1"}, "letters, digits and _", "'A\\n'"),
    ("env", {"A": True}, "a text in quotes", "True"),
    ("env", {"A": {"B": 1}}, "a text in quotes", "{'B': 1}"),
    ("env", "A=" + "x" * 1025, "above 1024", "1025 characters"),
    ("env", "A" * 1025 + "=x", "at most 1024", "AAAA"),
    ("env", [f"A{n}=1" for n in range(101)], "SageMaker takes 100", "101 variables"),
    ("platform", "amd64", "linux/amd64 or linux/arm64", "'amd64'"),
    ("platform", "windows/amd64", "linux/amd64 or linux/arm64", "'windows/amd64'"),
    ("platform", 5, "a text", "5"),
    ("engine", "podman", "docker, the only engine there is", "'podman'"),
    ("startup-seconds", "soon", "a number of seconds above 0", "'soon'"),
    ("startup-seconds", 0, "a number of seconds above 0", "0"),
    ("startup-seconds", -1, "a number of seconds above 0", "-1"),
    ("startup-seconds", "nan", "a number of seconds above 0", "'nan'"),
    ("startup-seconds", "inf", "a number of seconds above 0", "'inf'"),
    ("startup-seconds", 10**400, "a number of seconds above 0", "1000"),
    ("startup-seconds", True, "a number of seconds above 0", "True"),
    ("startup-seconds", [1], "a number of seconds above 0", "[1]"),
    ("slow", "maybe", "true or false", "'maybe'"),
    ("examples", 0, "a whole number, 1 to 9999999", "0"),
    ("examples", "many", "a whole number, 1 to 9999999", "'many'"),
    ("examples", True, "a whole number, 1 to 9999999", "True"),
    ("strict", 2, "true or false", "2"),
    ("report-json", 5, "a text", "5"),
    ("report-html", 5, "a text", "5"),
    ("sarif", 5, "a text", "5"),
    ("template", ["four.json"], "a CloudFormation template in JSON or YAML", "four.json"),
    ("template", 5, "a file or a list of files", "5"),
    ("template-parameter", ["A"], "NAME=VALUE", "'A'"),
    ("template-parameter", ["=1"], "NAME=VALUE", "'=1'"),
    ("deploy-script", "", "must name a script", "deploy.py"),
    ("deploy-script", "deploy 'x", "cannot be split into words", "No closing quotation"),
    ("deploy-script", "four.py", "neither a file", "'four.py'"),
    ("deploy-script", "one.json", "chmod +x", "one.json"),
    ("deploy-script", 5, "cannot be split into words", "5"),
    ("region", "mars", "a region of AWS, as eu-west-1", "'mars'"),
    ("region", 5, "a region of AWS, as eu-west-1", "5"),
]


def test_every_key_has_a_wrong_value_here() -> None:
    assert {key for key, *_ in WRONG} == set(KEYS)


@pytest.mark.parametrize(
    ("key", "value", "expected", "came"), WRONG, ids=[f"{k}-{n}" for n, (k, *_) in enumerate(WRONG)]
)
def test_a_wrong_value_is_told_with_the_setting_what_was_expected_and_what_came(
    tmp_path: Path, key: str, value: Any, expected: str, came: str
) -> None:
    with pytest.raises(Usage) as told:
        settings(project(tmp_path), {key: value})
    for word in (f"--{key}", expected, came):
        assert word in str(told.value)
    assert "\n" not in str(told.value)


def test_an_error_names_the_variable_or_the_file_that_said_it(tmp_path: Path) -> None:
    with pytest.raises(Usage, match=r"^BYOC_MEMORY must be"):
        settings(tmp_path, environment={"BYOC_MEMORY": "x"})
    with pytest.raises(Usage, match=r"^BYOC_MEMORY 2000 is not a serverless memory size"):
        settings(tmp_path, environment={"BYOC_MEMORY": "2000"})
    file = project(tmp_path, 'slow = "x"') / "pyproject.toml"
    with pytest.raises(Usage) as told:
        settings(tmp_path)
    assert str(told.value).startswith(f"[tool.byoc] slow in {file} must be")


@pytest.mark.parametrize("memory", MEMORY_SIZES_MB)
def test_every_serverless_memory_size_is_taken(tmp_path: Path, memory: int) -> None:
    assert settings(tmp_path, {"memory": f"{memory}"}).memory == memory


@pytest.mark.parametrize("text", ["2048", " 2048 ", "2048MB", "2048 mb", 2048])
def test_memory_may_carry_its_unit(tmp_path: Path, text: Any) -> None:
    assert settings(tmp_path, {"memory": text}).memory == 2048


def test_realtime_takes_any_memory(tmp_path: Path) -> None:
    assert settings(tmp_path, {"memory": "2000", "profile": "realtime"}).memory == 2000


# Limits


def test_the_limits_are_the_profiles_with_the_users_own_start_budget(tmp_path: Path) -> None:
    assert Settings().limits == Limits.of("serverless")
    assert Settings(profile="realtime").limits == Limits.of("realtime")
    limits = settings(tmp_path, {"startup-seconds": "7"}).limits
    assert limits.startup_seconds == 7.0
    assert limits.ping_seconds == Limits().ping_seconds


# Payloads


@pytest.mark.parametrize(("extension", "content_type"), CONTENT_TYPES.items())
@pytest.mark.parametrize("upper", [False, True])
def test_the_extension_gives_the_content_type(
    tmp_path: Path, extension: str, content_type: str, upper: bool
) -> None:
    file = tmp_path / ("x" + (extension.upper() if upper else extension))
    file.write_bytes(b"\x00\xff")
    assert read_payload(str(file)) == Payload(
        name=file.name, content_type=content_type, body=b"\x00\xff"
    )


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("one.json;type=text/plain", "text/plain"),
        ("one.json;type= text/plain ", "text/plain"),
        ("one.json;type=text/csv; header=present", "text/csv; header=present"),
        ("one.json;type=a;type=b", "a;type=b"),
    ],
)
def test_a_written_type_beats_the_extension(tmp_path: Path, text: str, content_type: str) -> None:
    payload = read_payload(text, base=project(tmp_path))
    assert (payload.content_type, payload.body) == (content_type, b"1")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.x+json", True),
        ("application/jsonlines", False),
        ("text/csv", False),
    ],
)
def test_a_payload_knows_whether_it_is_json(content_type: str, expected: bool) -> None:
    assert Payload(name="x", content_type=content_type, body=b"").is_json is expected


def test_a_body_is_not_printed_with_its_payload() -> None:
    assert "secret" not in repr(Payload(name="x", content_type="text/csv", body=b"secret"))


# Environment


@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True),
        st.text(max_size=50),
        max_size=10,
    )
)
def test_a_variable_arrives_as_it_was_written(pairs: dict[str, str]) -> None:
    # Spaces and further equals signs belong to the value.
    found = gather({"env": [f"{k}={v}" for k, v in pairs.items()]}, {}, Path("/nowhere"))
    assert found.env == pairs
    assert gather({"env": pairs}, {}, Path("/nowhere")).env == pairs


def test_a_number_in_the_file_becomes_its_text(tmp_path: Path) -> None:
    found = settings(project(tmp_path, "env = {WORKERS = 2, RATE = 0.5, EMPTY = ''}"))
    assert found.env == {"WORKERS": "2", "RATE": "0.5", "EMPTY": ""}


# Whatever comes

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(st.sampled_from(KEYS), ANYTHING)
def test_no_value_does_more_than_raise_usage(key: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        try:
            found = gather({key: value}, {}, Path(directory))
        except Usage as told:
            assert f"--{key}" in str(told)
        else:
            assert isinstance(found, Settings)


@given(st.text(max_size=60) | st.text(alphabet="a.;type=/\\ ~\0\n", max_size=40))
def test_no_payload_specification_does_more_than_raise_usage(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "a.json").write_bytes(b"1")
        try:
            payload = read_payload(text, base=Path(directory))
        except Usage as told:
            assert "--payload" in str(told)
        else:
            assert payload.content_type.isprintable()


@given(st.text(max_size=60) | st.text(alphabet="AB1_= ,\n", max_size=30))
def test_no_env_pair_does_more_than_raise_usage(text: str) -> None:
    try:
        found = gather({"env": [text]}, {}, Path("/nowhere"))
    except Usage as told:
        assert "--env" in str(told)
    else:
        name, _, value = text.partition("=")
        assert found.env == {name: value}


@given(st.text(max_size=200))
def test_no_file_does_more_than_raise_usage(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pyproject.toml"
        file.write_bytes(f"[tool.byoc]\n{text}".encode("utf-8", errors="replace"))
        try:
            found = gather({}, {}, Path(directory))
        except Usage as told:
            assert str(file.name) in str(told)
        else:
            assert isinstance(found, Settings)
