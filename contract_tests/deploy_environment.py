"""What a deploy script finds in its environment: all of this run's, and no way to the real AWS.

Owns: which variables, profiles and logins there are. Must not know: scripts, checks.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from pathlib import Path

from contract_tests.deploy_local import LocalAws


def environment_of(aws: LocalAws, mine: Mapping[str, str], directory: Path) -> dict[str, str]:
    """That of this run, but nothing in it leads to AWS: with keys, a profile, an endpoint or a
    Docker login of the real one a script would deploy for real.
    """
    kept = {name: text for name, text in mine.items() if not name.startswith("AWS_")}
    docker = directory / "docker"
    _docker(Path(mine.get("DOCKER_CONFIG") or "~/.docker").expanduser(), docker)
    (directory / "config").write_text(_profiles(mine, aws.region), encoding="utf-8")
    (directory / "credentials").write_text("", encoding="utf-8")
    local = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1"]))
    profile = {"AWS_PROFILE": mine["AWS_PROFILE"]} if mine.get("AWS_PROFILE") else {}
    return {
        **kept,
        **profile,
        **aws.environment,
        "AWS_CONFIG_FILE": str(directory / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
        "DOCKER_CONFIG": str(docker),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "NO_PROXY": local,
        "no_proxy": local,
        "PYTHONUNBUFFERED": "1",
    }


def _docker(mine: Path, new: Path) -> None:
    """Docker's own directory, with the engines that the user has and without logins."""
    new.mkdir()
    try:
        told = json.loads((mine / "config.json").read_text(encoding="utf-8"))
        context = {"currentContext": told["currentContext"]}
    except (OSError, ValueError, KeyError, TypeError):
        context = {}
    (new / "config.json").write_text(json.dumps(context), encoding="utf-8")
    for name in ("contexts", "cli-plugins"):
        if (mine / name).is_dir():
            (new / name).symlink_to((mine / name).resolve())


def _profiles(mine: Mapping[str, str], region: str) -> str:
    """The user's profiles by name alone, so that a script which names one finds it."""
    names = {"default", mine.get("AWS_PROFILE", "") or "default"}
    for variable, usual in (
        ("AWS_CONFIG_FILE", "config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ):
        parser = configparser.RawConfigParser(strict=False)
        path = mine.get(variable) or f"~/.aws/{usual}"
        try:
            parser.read(Path(path).expanduser(), encoding="utf-8")
        except (configparser.Error, OSError, ValueError, RuntimeError):
            continue
        names |= {section.removeprefix("profile ").strip() for section in parser.sections()}
    lines = []
    for name in sorted(names):
        section = name if name == "default" else f"profile {name}"
        keys = "aws_access_key_id = byoc\naws_secret_access_key = byoc"
        lines.append(f"[{section}]\nregion = {region}\n{keys}\n")
    return "\n".join(lines)
