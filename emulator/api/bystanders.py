"""What botocore's client and moto say to deploy calls that AWS refuses: what of it a test with them
would have let through.

Owns: asking both, in a process of their own, `python -m emulator.api.bystanders`, since
moto changes botocore for its whole process. Must not know: rules, templates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Empty where it was let through; None where it could not be asked."""

    botocore: str | None = None
    moto: str | None = None

    def __str__(self) -> str:
        if self.botocore is None or self.moto is None:
            return ""
        if self.botocore and self.moto:
            return "botocore's client and moto refuse it, too."
        if self.botocore:
            return f"botocore's client refuses it before it is sent: {self.botocore}"
        if self.moto:
            return f"botocore's client lets it through; moto refuses it, too: {self.moto}"
        return "botocore's client and moto let it through."


Request = tuple[str, Mapping[str, Any]]
"""An operation of SageMaker, and its body."""


def bystanders(requests: Sequence[Request]) -> list[Said]:
    """What both say to each, one after the other, so that later ones find what earlier ones made.
    Nobody's verdict depends on it: what cannot be asked is left out.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "emulator.api.bystanders"],
            input=json.dumps(list(requests), default=str),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        )
        return [Said(**said) for said in json.loads(done.stdout)]
    except (subprocess.SubprocessError, OSError, ValueError):
        return [Said()] * len(requests)


def main() -> int:
    """Standard input to standard output."""
    from moto import mock_aws

    requests: list[Request] = json.load(sys.stdin)
    with mock_aws():
        said = _ask(requests)
    print(json.dumps([asdict(one) for one in said]))
    return 0


def _ask(requests: Sequence[Request]) -> list[Said]:
    import botocore.session
    from botocore.config import Config
    from botocore.validate import ParamValidator

    client = botocore.session.Session().create_client(
        "sagemaker",
        region_name="us-east-1",
        aws_access_key_id="byoc",
        aws_secret_access_key="byoc",  # noqa: S106 - any is taken
        config=Config(parameter_validation=False),
    )
    said = []
    for operation, body in requests:
        shape = client.meta.service_model.operation_model(operation).input_shape
        report = ParamValidator().validate(body, shape)
        found = report.generate_report() if report.has_errors() else ""
        said.append(Said(botocore=" ".join(found.split()), moto=_moto(client, operation, body)))
    return said


def _moto(client: Any, operation: str, body: Mapping[str, Any]) -> str:
    from botocore import xform_name

    try:
        getattr(client, xform_name(operation))(**body)
    except Exception as error:  # noqa: BLE001 - moto fails in every way on what it does not expect
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
