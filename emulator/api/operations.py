"""What each accepted call of SageMaker's control plane does, one function per operation.

Owns: the table of operations. Must not know: rules (what comes here was accepted), HTTP, threads:
`Work.do` runs what changes endpoints where they live. Needs moto's lock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.api.records import Kind, Record, Records
from emulator.control import answers
from emulator.control.answers import Answer, EndpointTold, Listed
from emulator.control.known import Body
from emulator.control.orders import adjusted, orders, retained
from emulator.control.rule import arn
from emulator.deployed import DeployedEndpoint
from emulator.deployed_told import described
from emulator.deployed_variant import Version
from emulator.deployments import Deployments


class Do(Protocol):
    def __call__(self, what: Callable[[], Any], /) -> Any:
        """Its result. On the event loop; raises what it raises."""


class NoResource(Exception):
    """An ARN of something that is not there, or no ARN."""


class EndpointGone(Exception):
    """The last of it went since the call was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One call that was accepted."""

    body: Body
    region: str
    account: str
    records: Records
    deployments: Deployments
    do: Do

    def deployed(self) -> DeployedEndpoint:
        """Raises EndpointGone."""
        found = self.deployments.get(self.body["EndpointName"], self.region)
        if found is None:
            raise EndpointGone
        return found

    def record(self, kind: Kind) -> Record:
        found = self.records.get(kind, self.body[f"{kind}Name"])
        assert found is not None, "the rules have seen it"
        return found

    def version(self) -> Version:
        """That of the configuration which is named."""
        configuration = self.record("EndpointConfig")
        return Version(
            configuration=configuration.name,
            body=configuration.body,
            orders=orders(configuration.body, self.records.bodies("Model")),
            deployment=self.body.get("DeploymentConfig") or {},
        )

    def arn(self, kind: Kind) -> str:
        return arn(kind, self.body[f"{kind}Name"], self.region, self.account)


def _create(kind: Kind) -> Callable[[Work], Answer]:
    def create(work: Work) -> Answer:
        work.records.add(kind, work.body)
        return {f"{kind}Arn": work.arn(kind)}

    return create


def _describe(kind: Kind) -> Callable[[Work], Answer]:
    def describe(work: Work) -> Answer:
        record = work.record(kind)
        return answers.described(kind, record.body, record.arn, record.created.timestamp())

    return describe


def _delete(kind: Kind) -> Callable[[Work], Answer]:
    def delete(work: Work) -> Answer:
        work.records.remove(kind, work.body[f"{kind}Name"])
        return {}

    return delete


def _list(kind: Kind) -> Callable[[Work], Answer]:
    def listed(work: Work) -> Answer:
        return answers.listed(kind, _rows(work, kind), work.body)

    return listed


def _rows(work: Work, kind: Kind) -> Iterable[Listed]:
    for record in work.records.all(kind):
        yield Listed(name=record.name, arn=record.arn, created=record.created.timestamp())


def _list_endpoints(work: Work) -> Answer:
    """Also those that are being deleted, which moto does not have any more."""
    rows = [
        Listed(
            name=endpoint.name,
            arn=arn("Endpoint", endpoint.name, work.region, work.account),
            created=endpoint.created.timestamp(),
            modified=endpoint.modified.timestamp(),
            status=endpoint.status.value,
        )
        for endpoint in work.deployments.all(work.region)
    ]
    return answers.listed("Endpoint", rows, work.body)


def _create_endpoint(work: Work) -> Answer:
    name, version = work.body["EndpointName"], work.version()
    work.do(lambda: work.deployments.create(name, version, work.region))
    work.records.add("Endpoint", work.body)
    return {"EndpointArn": work.arn("Endpoint")}


def _describe_endpoint(work: Work) -> Answer:
    endpoint, arn = work.deployed(), work.arn("Endpoint")
    told: EndpointTold = work.do(lambda: described(endpoint, arn))
    return answers.endpoint(told)


def _update_endpoint(work: Work) -> Answer:
    endpoint, new = work.deployed(), work.version()
    version = dataclasses.replace(
        new, orders=retained(new.orders, endpoint.version.orders, work.body)
    )
    if not new.deployment and work.body.get("RetainDeploymentConfig"):
        version = dataclasses.replace(version, deployment=endpoint.version.deployment)
    work.do(lambda: work.deployments.update(endpoint.name, work.region, version))
    return {"EndpointArn": work.arn("Endpoint")}


def _update_capacities(work: Work) -> Answer:
    endpoint = work.deployed()
    orders = adjusted(endpoint.version.orders, work.body["DesiredWeightsAndCapacities"])
    work.do(lambda: work.deployments.adjust(endpoint.name, work.region, orders))
    return {"EndpointArn": work.arn("Endpoint")}


def _delete_endpoint(work: Work) -> Answer:
    name = work.body["EndpointName"]
    work.do(lambda: work.deployments.delete(name, work.region))
    work.records.remove("Endpoint", name)
    return {}


def _tagged(work: Work) -> Record:
    found = work.records.by_arn(work.body["ResourceArn"])
    if found is None:
        raise NoResource(work.body["ResourceArn"])
    return found


def _add_tags(work: Work) -> Answer:
    """A key that is there gets the new value."""
    tags = _tagged(work).tags
    new = {tag["Key"]: dict(tag) for tag in (*tags, *work.body["Tags"])}
    tags[:] = new.values()
    return {"Tags": list(tags)}


def _list_tags(work: Work) -> Answer:
    page, token = answers.paged(_tagged(work).tags, work.body, answers.TAGS_PAGE)
    return {"Tags": list(page), "NextToken": token} if token else {"Tags": list(page)}


def _delete_tags(work: Work) -> Answer:
    tags = _tagged(work).tags
    tags[:] = [tag for tag in tags if tag["Key"] not in work.body["TagKeys"]]
    return {}


OPERATIONS: Mapping[str, Callable[[Work], Answer]] = {
    "CreateModel": _create("Model"),
    "DescribeModel": _describe("Model"),
    "ListModels": _list("Model"),
    "DeleteModel": _delete("Model"),
    "CreateEndpointConfig": _create("EndpointConfig"),
    "DescribeEndpointConfig": _describe("EndpointConfig"),
    "ListEndpointConfigs": _list("EndpointConfig"),
    "DeleteEndpointConfig": _delete("EndpointConfig"),
    "CreateEndpoint": _create_endpoint,
    "DescribeEndpoint": _describe_endpoint,
    "ListEndpoints": _list_endpoints,
    "UpdateEndpoint": _update_endpoint,
    "UpdateEndpointWeightsAndCapacities": _update_capacities,
    "DeleteEndpoint": _delete_endpoint,
    "AddTags": _add_tags,
    "ListTags": _list_tags,
    "DeleteTags": _delete_tags,
}
