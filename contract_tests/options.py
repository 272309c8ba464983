"""The suite's command line options, as pytest takes them.

Owns: names and help. Must not know: what a value means (`settings`). Loaded with the plugin, so it
imports nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

APPEND: dict[str, Any] = {"action": "append"}
FLAG: dict[str, Any] = {"action": "store_true"}

OPTIONS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("--image", APPEND, "the image under test, as the engine knows it; may repeat"),
    ("--profile", {}, "whose limits and levels: serverless (default) or realtime"),
    ("--memory", {}, "MB, as ServerlessConfig.MemorySizeInMB: 1024, 2048 (default) ... 6144"),
    ("--payload", APPEND, "FILE or FILE;type=T: a request your model answers; may repeat"),
    ("--model-data", {}, "a directory or model.tar.gz for /opt/ml/model, mounted read-only"),
    ("--env", APPEND, "NAME=VALUE for the container; may repeat"),
    ("--platform", {}, "what AWS would run: linux/amd64 (default) or linux/arm64"),
    ("--engine", {}, "the container engine: docker (default)"),
    ("--startup-seconds", {}, "wait this long for the first 200, not the platform's window"),
    ("--template", APPEND, "a CloudFormation template that deploys the image; may repeat"),
    ("--template-parameter", APPEND, "NAME=VALUE for the templates' Parameters; may repeat"),
    ("--deploy-script", {}, "'FILE ARGUMENTS': a script that deploys the image"),
    ("--region", {}, "where both deploy; default: that of the image's URI in them"),
    ("--slow", FLAG, "also the checks that really wait for 60-second limits"),
    ("--examples", {}, "how many requests to generate from the payloads; 200"),
    ("--report-json", {}, "write the report here, as JSON (schema 1)"),
    ("--report-html", {}, "write the report here, as one self-contained page"),
    ("--sarif", {}, "write what does not hold here, as SARIF 2.1.0"),
)

OF_ONE_RUN = frozenset({"--image", "--report-json", "--report-html", "--sarif"})


def dest(option: str) -> str:
    """Where pytest keeps it."""
    return "byoc_" + option.removeprefix("--").replace("-", "_")


def repeatable(given: Callable[[str], Any], *, strict: bool) -> list[str]:
    """The options of the command line that another run of the same check needs. `given` tells
    what was given, by `dest`.
    """
    words = ["--strict"] if strict else []
    for name, _, _ in OPTIONS:
        values = given(dest(name)) or []
        for value in values if isinstance(values, list) else [values]:
            if name not in OF_ONE_RUN:
                words += [name] if value is True else [name, str(value)]
    return words
