"""SageMaker's models, configurations and endpoints as moto keeps them, each with the call's body.

Owns: reading and writing moto's records, whose own copies of members are incomplete. Must not know:
what a body means, who may ask, HTTP. Everything here needs moto's lock. moto's checks are switched
off: what comes here was judged, and moto refuses newer instance types that AWS has.
https://docs.getmoto.org/en/latest/docs/services/sagemaker.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from emulator.control.known import Body

Kind = Literal["Model", "EndpointConfig", "Endpoint"]

BODY = "byoc_body"
"""Attribute of moto's objects: the call that made it."""

JUDGING = "validate_production_variants"

NAMES: Mapping[Kind, str] = {
    "Model": "model_name",
    "EndpointConfig": "endpoint_config_name",
    "Endpoint": "endpoint_name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One of them. `raw` is moto's object."""

    kind: Kind
    name: str
    arn: str
    body: Body
    created: datetime
    raw: Any

    @property
    def tags(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.raw.tags
        return found


class Records:
    """Of one account in one region."""

    def __init__(self, account: str, region: str) -> None:
        self._account, self._region = account, region
        self._made: list[tuple[Kind, str, Any]] = []

    @property
    def there(self) -> bool:
        """Whether moto has SageMaker in this region."""
        from moto.sagemaker.models import sagemaker_backends

        return self._region in sagemaker_backends[self._account]

    def names(self, kind: Kind) -> list[str]:
        return list(self._kept(kind))

    def get(self, kind: Kind, name: str) -> Record | None:
        raw = self._kept(kind).get(name)
        return None if raw is None else _record(kind, raw)

    def all(self, kind: Kind) -> list[Record]:
        return [_record(kind, raw) for raw in self._kept(kind).values()]

    def bodies(self, kind: Kind) -> Mapping[str, Body]:
        return _Bodies(self, kind)

    def add(self, kind: Kind, body: Body) -> Record:
        """Of a call that was accepted."""
        body = copy.deepcopy(dict(body))
        with _unjudged():
            raw = getattr(self, f"_add_{kind}")(body)
        setattr(raw, BODY, body)
        self._made.append((kind, getattr(raw, NAMES[kind]), raw))
        return _record(kind, raw)

    def remove(self, kind: Kind, name: str) -> None:
        gone = self._kept(kind).pop(name, None)
        self._made = [made for made in self._made if made[2] is not gone]

    def forget(self) -> None:
        """Removes what was added here and is still there."""
        for kind, name, raw in self._made:
            if self._kept(kind).get(name) is raw:
                self.remove(kind, name)
        self._made.clear()

    @property
    def _backend(self) -> Any:
        """Asked anew each time: a reset of moto makes another one."""
        from moto.sagemaker.models import sagemaker_backends

        return sagemaker_backends[self._account][self._region]

    def _kept(self, kind: Kind) -> dict[str, Any]:
        backend = self._backend
        kept: dict[str, Any] = {
            "Model": backend._models,  # noqa: SLF001
            "EndpointConfig": backend.endpoint_configs,
            "Endpoint": backend.endpoints,
        }[kind]
        return kept

    def _add_Model(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._backend.create_model(
            model_name=body["ModelName"],
            execution_role_arn=body.get("ExecutionRoleArn") or "",
            primary_container=body.get("PrimaryContainer"),
            vpc_config=body.get("VpcConfig"),
            containers=body.get("Containers"),
            tags=list(body.get("Tags") or ()),
        )

    def _add_EndpointConfig(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._backend.create_endpoint_config(
            endpoint_config_name=body["EndpointConfigName"],
            production_variants=body["ProductionVariants"],
            data_capture_config=body.get("DataCaptureConfig") or {},
            async_inference_config=body.get("AsyncInferenceConfig") or {},
            tags=list(body.get("Tags") or ()),
            kms_key_id=body.get("KmsKeyId") or "",
        )

    def _add_Endpoint(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._backend.create_endpoint(
            endpoint_name=body["EndpointName"],
            endpoint_config_name=body["EndpointConfigName"],
            tags=list(body.get("Tags") or ()),
        )

    def by_arn(self, arn: str) -> Record | None:
        """However the name is written: AWS takes its ARNs in small letters."""
        for kind in NAMES:
            for record in self.all(kind):
                if record.arn == f"{arn.rpartition('/')[0]}/{arn.rpartition('/')[2].lower()}":
                    return record
        return None


class _Bodies(Mapping[str, Body]):
    """Read when asked: most calls look one name up among many."""

    def __init__(self, records: Records, kind: Kind) -> None:
        self._records, self._kind = records, kind

    def __getitem__(self, name: str) -> Body:
        record = self._records.get(self._kind, name)
        if record is None:
            raise KeyError(name)
        return record.body

    def __iter__(self) -> Iterator[str]:
        return iter(self._records.names(self._kind))

    def __len__(self) -> int:
        return len(self._records.names(self._kind))


def _record(kind: Kind, raw: Any) -> Record:
    arn = raw.endpoint_config_arn if kind == "EndpointConfig" else raw.arn
    name: str = getattr(raw, NAMES[kind])
    return Record(
        kind=kind,
        name=name,
        # AWS writes the name in small letters there.
        arn=f"{arn.rpartition('/')[0]}/{name.lower()}",
        body=getattr(raw, BODY, None) or _guessed(kind, raw),
        created=raw.creation_time,
        raw=raw,
    )


def _guessed(kind: Kind, raw: Any) -> Body:
    """Of what was made past us, as by a program that uses moto in this process."""
    if kind == "Model":
        body = {"ModelName": raw.model_name, "ExecutionRoleArn": raw.execution_role_arn}
        more = {"PrimaryContainer": raw.primary_container, "Containers": raw.containers}
    elif kind == "EndpointConfig":
        body = {"EndpointConfigName": raw.endpoint_config_name}
        more = {"ProductionVariants": raw.production_variants}
    else:
        body = {"EndpointName": raw.endpoint_name}
        more = {"EndpointConfigName": raw.endpoint_config_name}
    return {**body, **{name: value for name, value in more.items() if value}}


@contextmanager
def _unjudged() -> Iterator[None]:
    from moto.sagemaker.models import FakeEndpointConfig, SageMakerModelBackend

    judges: tuple[Any, ...] = (FakeEndpointConfig, SageMakerModelBackend)
    before = [judge.__dict__[JUDGING] for judge in judges]
    try:
        for judge in judges:
            setattr(judge, JUDGING, lambda self, production_variants: None)
        yield
    finally:
        for judge, its_own in zip(judges, before, strict=True):
            setattr(judge, JUDGING, its_own)
