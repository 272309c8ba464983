"""Owns: the claims of emulator/limits.py: the numbers themselves, both profiles, and that each has
a source that may carry it.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.limits import (
    GIB,
    MB_PER_VCPU,
    MEMORY_SIZES_MB,
    MIB,
    PROFILES,
    Limits,
    Profile,
    cpus,
    sources,
)
from emulator.sources import Evidence, Source

EXPECTED = {
    # name: (serverless, realtime)
    "ping_seconds": (2.0, 2.0),
    "startup_seconds": (180.0, 480.0),
    "invocation_seconds": (60.0, 60.0),
    "accept_seconds": (0.25, 0.25),
    "stop_grace_seconds": (30.0, 30.0),
    "stream_seconds": (480.0, 480.0),
    "sure_payload_bytes": (4_000_000, 6_291_456),
    "payload_bytes": (4_194_304, 26_214_400),
    "image_bytes": (10_737_418_240, None),
    "port": (8080, 8080),
}
NAMES = [f.name for f in fields(Limits)]
UNITS = ("_seconds", "_bytes")


def test_the_table_here_has_every_limit() -> None:
    assert set(EXPECTED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_is_what_the_platform_enforces(name: str) -> None:
    serverless, realtime = EXPECTED[name]
    assert getattr(Limits.of("serverless"), name) == serverless
    assert getattr(Limits.of("realtime"), name) == realtime


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_has_a_source_that_may_carry_a_must(name: str) -> None:
    source = sources()[name]
    assert isinstance(source, Source)
    assert source.evidence in (Evidence.DOCUMENTED, Evidence.REPRODUCED)


def test_there_is_no_source_without_a_limit() -> None:
    assert set(sources()) == set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "port"])
def test_a_limits_name_carries_its_unit(name: str) -> None:
    assert name.endswith(UNITS)


@pytest.mark.parametrize("name", NAMES)
def test_where_the_profiles_differ_a_note_or_the_source_says_why(name: str) -> None:
    serverless, realtime = EXPECTED[name]
    (note,) = [f.metadata["note"] for f in fields(Limits) if f.name == name]
    assert serverless == realtime or "realtime" in note or "contract" in note or note


def test_the_defaults_are_the_serverless_profile() -> None:
    assert Limits() == Limits.of("serverless")
    assert PROFILES == ("serverless", "realtime")


@pytest.mark.parametrize("profile", PROFILES)
def test_what_surely_passes_is_not_above_what_passes_at_most(profile: Profile) -> None:
    limits = Limits.of(profile)
    assert limits.sure_payload_bytes <= limits.payload_bytes


@pytest.mark.parametrize("profile", PROFILES)
def test_a_ping_is_shorter_than_an_invocation_and_both_than_the_start(profile: Profile) -> None:
    limits = Limits.of(profile)
    assert limits.accept_seconds < limits.ping_seconds < limits.invocation_seconds
    assert limits.invocation_seconds < limits.startup_seconds


def test_a_test_may_replace_a_limit_and_nobody_may_set_one() -> None:
    limits = Limits()
    assert replace(limits, startup_seconds=1.0).startup_seconds == 1.0
    with pytest.raises(FrozenInstanceError):
        limits.startup_seconds = 1.0  # type: ignore[misc]


def test_units_are_binary() -> None:
    assert (MIB, GIB) == (2**20, 2**30)


def test_serverless_memory_sizes_are_whole_gigabytes_up_to_six() -> None:
    assert tuple(1024 * n for n in range(1, 7)) == MEMORY_SIZES_MB


@pytest.mark.parametrize(
    ("memory_mb", "expected"),
    [(1024, 0.58), (1769, 1.0), (2048, 1.16), (3072, 1.74), (4096, 2.32), (6144, 3.47)],
)
def test_cpus_follow_lambdas_rule(memory_mb: int, expected: float) -> None:
    assert cpus(memory_mb) == expected


@given(st.integers(min_value=128, max_value=10_240))
def test_more_memory_never_brings_less_cpu(memory_mb: int) -> None:
    assert 0 < cpus(memory_mb) <= cpus(memory_mb + 1)
    assert cpus(memory_mb) == pytest.approx(memory_mb / MB_PER_VCPU, abs=0.005)
