"""What Describe* and List* answer, and how long lists come in pages.

Owns: the members of these answers, sorting, filters and pages. Must not know: where what they tell
comes from (`EndpointTold` and `Listed` are filled by who knows), HTTP. Times are seconds since 1970
(contract 6.13).
"""

from __future__ import annotations

import base64
import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from emulator.control.known import Body
from emulator.control.orders import VariantOrder

Answer = dict[str, Any]
T = TypeVar("T")

PLURAL = {"Model": "Models", "EndpointConfig": "EndpointConfigs", "Endpoint": "Endpoints"}

PAGE = 10
"""MaxResults where it is not said, for the three lists."""

TAGS_PAGE = 50

MARK = "byoc"

NOT_TOLD = ("Tags",)
"""Members of Create* that Describe* does not repeat."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Model": {"EnableNetworkIsolation": False},
    "EndpointConfig": {"EnableNetworkIsolation": False},
}
"""Members that AWS tells also where nobody set them (their documentation in the service model)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTold:
    """One production variant as it runs."""

    order: VariantOrder
    desired: VariantOrder
    serves: bool = True
    resolved_image: str = ""  # until it is known: none
    resolved_at: float = 0.0
    since: float = 0.0
    status: str = ""  # contract 6.11; empty at rest
    routing: Body | None = None  # RoutingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTold:
    """The configuration that an endpoint is created or updated with (contract 6.10)."""

    configuration: str
    since: float
    orders: Sequence[VariantOrder]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTold:
    """What DescribeEndpoint tells beside names."""

    name: str
    arn: str
    configuration: str
    status: str
    created: float
    modified: float
    failure_reason: str = ""
    variants: Sequence[VariantTold] = ()
    pending: PendingTold | None = None
    deployment: Body = field(default_factory=dict)  # the last DeploymentConfig
    more: Body = field(default_factory=dict)  # members of the configuration that are repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One row of a list."""

    name: str
    arn: str
    created: float
    modified: float = 0.0  # of endpoints; the others are never modified
    status: str = ""


class BadToken(Exception):
    """A NextToken that no list gave."""


def described(resource: str, body: Body, arn: str, created: float) -> Answer:
    """A model or an endpoint configuration: what was set, and nothing else."""
    told = {name: value for name, value in body.items() if name not in NOT_TOLD}
    if resource == "EndpointConfig":
        told["ProductionVariants"] = [
            {"InitialVariantWeight": 1.0, **variant} for variant in body["ProductionVariants"]
        ]
    return {**DEFAULTS[resource], **told, f"{resource}Arn": arn, "CreationTime": created}


def endpoint(told: EndpointTold) -> Answer:
    answer: Answer = {
        "EndpointName": told.name,
        "EndpointArn": told.arn,
        "EndpointConfigName": told.configuration,
        "EndpointStatus": told.status,
        "CreationTime": told.created,
        "LastModifiedTime": told.modified,
        **told.more,
    }
    if told.failure_reason:
        answer["FailureReason"] = told.failure_reason
    if told.variants:
        answer["ProductionVariants"] = [_variant(variant) for variant in told.variants]
    if told.pending:
        answer["PendingDeploymentSummary"] = _pending(told.pending)
    if told.deployment:
        answer["LastDeploymentConfig"] = told.deployment
    return answer


def _variant(told: VariantTold) -> Answer:
    answer: Answer = {"VariantName": told.order.name}
    if told.resolved_image:
        image = {
            "SpecifiedImage": told.order.image,
            "ResolvedImage": told.resolved_image,
            "ResolutionTime": told.resolved_at,
        }
        answer["DeployedImages"] = [image]
    now = _numbers("Current", told.order)
    if "CurrentInstanceCount" in now and not told.serves:
        now["CurrentInstanceCount"] = 0
    answer |= {**now, **_numbers("Desired", told.desired)}
    if told.status:
        answer["VariantStatus"] = [{"Status": told.status, "StartTime": told.since}]
    return {**answer, "RoutingConfig": told.routing} if told.routing else answer


def _numbers(which: str, order: VariantOrder) -> Answer:
    numbers: Answer = {f"{which}Weight": order.weight}
    if order.serverless is None:
        return {**numbers, f"{which}InstanceCount": order.instance_count}
    return {**numbers, f"{which}ServerlessConfig": order.serverless.body()}


def _pending(told: PendingTold) -> Answer:
    variants = [
        {
            "VariantName": order.name,
            **_numbers("Desired", order),
            **({"InstanceType": order.instance_type} if order.instance_type else {}),
            "VariantStatus": [{"Status": "Creating", "StartTime": told.since}],
        }
        for order in told.orders
    ]
    return {
        "EndpointConfigName": told.configuration,
        "ProductionVariants": variants,
        "StartTime": told.since,
    }


def listed(resource: str, rows: Iterable[Listed], query: Body) -> Answer:
    """One page. Raises BadToken."""
    by = query.get("SortBy", "CreationTime")
    # Newest first, as the console and the API have it, unless the caller says otherwise.
    descending = query.get("SortOrder", "Descending") == "Descending"

    def place(row: Listed) -> list[Any]:
        first = {"Name": [], "Status": [row.status, row.created]}.get(by, [row.created])
        return [*first, row.name]

    found = sorted((row for row in rows if _asked_for(row, query)), key=place, reverse=descending)
    if token := query.get("NextToken"):
        # Not a position: who deletes what a page told must not miss as many on the next one.
        last = _read(token, like=place(Listed(name="", arn="", created=0.0)))
        found = [row for row in found if (place(row) < last if descending else place(row) > last)]
    most = int(query.get("MaxResults") or PAGE)
    answer: Answer = {PLURAL[resource]: [_row(resource, row) for row in found[:most]]}
    return {**answer, "NextToken": _token(place(found[most - 1]))} if found[most:] else answer


def _row(resource: str, row: Listed) -> Answer:
    answer: Answer = {
        f"{resource}Name": row.name,
        f"{resource}Arn": row.arn,
        "CreationTime": row.created,
    }
    if resource == "Endpoint":
        answer |= {"LastModifiedTime": row.modified, "EndpointStatus": row.status}
    return answer


BOUNDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "CreationTimeBefore": ("created", operator.lt),
    "CreationTimeAfter": ("created", operator.ge),  # "greater than or equal", and only this one
    "LastModifiedTimeBefore": ("modified", operator.lt),
    "LastModifiedTimeAfter": ("modified", operator.gt),
}
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListEndpoints.html"""


def _asked_for(row: Listed, query: Body) -> bool:
    return (
        str(query.get("NameContains") or "") in row.name
        and query.get("StatusEquals") in (None, row.status)
        and all(
            holds(getattr(row, of), _seconds(query[name]))
            for name, (of, holds) in BOUNDS.items()
            if query.get(name) is not None
        )
    )


def paged(rows: Sequence[T], query: Body, page: int) -> tuple[Sequence[T], str]:
    """A page and the token of the next one, empty at the end. Raises BadToken."""
    token = query.get("NextToken")
    begin = int(_read(token, like=[0])[0]) if token else 0
    end = begin + int(query.get("MaxResults") or page)
    return rows[begin:end], _token([end]) if end < len(rows) else ""


def _token(place: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([MARK, *place]).encode()).decode()


def _read(token: str, like: list[Any]) -> list[Any]:
    """The place that a token stands for. Raises BadToken."""
    place: list[Any]
    try:
        mark, *place = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError) as error:  # of base64, of the text, of JSON
        raise BadToken(token) from error
    if mark != MARK or [type(one) for one in place] != [type(one) for one in like]:
        raise BadToken(token)
    return place


def _seconds(value: Any) -> float:
    """A timestamp of the wire."""
    return value.timestamp() if isinstance(value, datetime) else float(value)
