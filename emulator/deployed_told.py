"""What DescribeEndpoint tells of a deployed endpoint.

Owns: reading one, at one moment, into the values of the answer. Must not know: the answer's form
(`control.answers`), moto, threads.
"""

from __future__ import annotations

from emulator.control.answers import EndpointTold, PendingTold, VariantTold
from emulator.control.variants import by_name
from emulator.deployed import DeployedEndpoint
from emulator.endpoint_state import EndpointStatus

VARIANT_STATUS = {
    EndpointStatus.CREATING: "Creating",
    EndpointStatus.UPDATING: "Updating",
    EndpointStatus.ROLLING_BACK: "Updating",
    EndpointStatus.DELETING: "Deleting",
}
"""Of every variant while the endpoint is in that state (contract 6.11)."""

OF_CONFIGURATION = ("MetricsConfig", "CrossRegionTrafficConfig")
"""Members of the configuration that DescribeEndpoint repeats."""


def described(endpoint: DeployedEndpoint, arn: str) -> EndpointTold:
    """On the event loop."""
    version = endpoint.version
    return EndpointTold(
        name=endpoint.name,
        arn=arn,
        configuration=version.configuration,
        status=endpoint.status.value,
        created=endpoint.created.timestamp(),
        modified=endpoint.modified.timestamp(),
        failure_reason=endpoint.failure_reason,
        variants=_variants(endpoint),
        pending=_pending(endpoint),
        deployment=version.deployment,
        more={name: version.body[name] for name in OF_CONFIGURATION if name in version.body},
    )


def _variants(endpoint: DeployedEndpoint) -> list[VariantTold]:
    """Of a Failed endpoint nothing runs, and AWS tells none."""
    status = endpoint.status
    if status is EndpointStatus.FAILED:
        return []
    running = {variant.name: variant for variant in endpoint.variants}
    wished = endpoint.adjusting
    desired = {} if wished is None else {order.name: order for order in wished.orders}
    told = []
    for order in endpoint.version.orders:
        variant = running.get(order.name)
        since = endpoint.created if variant is None else variant.since
        if endpoint.pending is not None or wished is not None:
            since = endpoint.pending_since
        told.append(
            VariantTold(
                order=order,
                desired=desired.get(order.name, order),
                serves=status is not EndpointStatus.CREATING,
                resolved_image="" if variant is None else variant.prepared.resolved,
                since=since.timestamp(),
                resolved_at=0.0 if variant is None else variant.since.timestamp(),
                status=VARIANT_STATUS.get(status, ""),
                routing=(by_name(endpoint.version.body, order.name) or {}).get("RoutingConfig"),
            )
        )
    return told


def _pending(endpoint: DeployedEndpoint) -> PendingTold | None:
    pending = endpoint.pending
    if pending is None or endpoint.status is EndpointStatus.DELETING:
        return None
    return PendingTold(
        configuration=pending.configuration,
        since=endpoint.pending_since.timestamp(),
        orders=pending.orders,
    )
