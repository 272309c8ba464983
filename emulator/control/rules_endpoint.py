"""What is refused because of what is there: endpoints in a state, names that are taken or missing.

Owns: the rows of CreateEndpoint, of Describe and Delete, and of the account's limits. Must not
know: updates (`rules_update`), how an endpoint gets its state.

Deleting a model or a configuration that is in use is not refused: AWS accepts it, and what then
fails is a later update (https://github.com/hashicorp/terraform-provider-aws/issues/40048).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emulator.control.known import Body
from emulator.control.rule import LIMIT, Breach, Call, Rule
from emulator.control.variants import concurrency, is_serverless_configuration, model_names
from emulator.sources import Evidence, Source, contract

CREATE = ("CreateEndpoint",)

BUSY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})
"""States in which an endpoint can be neither changed nor deleted."""

IN_PROGRESS = 'Cannot update in-progress endpoint "<arn>".'
NO_MODEL = 'Could not find model "<arn>".'
NO_CONFIGURATION = 'Could not find endpoint configuration "<arn>".'


def missing(resource: str) -> Callable[[Call], Breach | None]:
    """The breach of a call that names a resource which is not there."""

    def breach(call: Call) -> Breach | None:
        member = f"{resource}Name"
        there = {
            "Model": call.known.models,
            "EndpointConfig": call.known.configurations,
            "Endpoint": call.known.endpoints,
        }[resource]
        name = call.body[member]
        return None if name in there else {"at": member, "arn": call.arn(resource, name)}

    return breach


def in_state(states: frozenset[str]) -> Callable[[Call], Breach | None]:
    """The breach of a call for an endpoint that is in one of these states."""

    def breach(call: Call) -> Breach | None:
        name = call.body["EndpointName"]
        status = call.known.endpoints[name].status
        if status not in states:
            return None
        return {"at": "EndpointName", "arn": call.arn("Endpoint", name), "status": status}

    return breach


def model_missing(call: Call) -> Breach | None:
    """A model that was deleted after its configuration was made."""
    for _, name in model_names(call.known.configurations[call.body["EndpointConfigName"]]):
        if name not in call.known.models:
            return {"at": "EndpointConfigName", "arn": call.arn("Model", name)}
    return None


def _duplicate(call: Call) -> Breach | None:
    name = call.body["EndpointName"]
    if name.lower() not in {known.lower() for known in call.known.endpoints}:
        return None
    return {"at": "EndpointName", "arn": call.arn("Endpoint", name)}


def _in_use(call: Call) -> Iterator[Body]:
    """Configurations of the serverless endpoints that are there."""
    for endpoint in call.known.endpoints.values():
        configuration = endpoint.configuration
        if configuration is not None and is_serverless_configuration(configuration):
            yield configuration


def _endpoints(call: Call) -> Breach | None:
    configuration = call.known.configurations[call.body["EndpointConfigName"]]
    used, most = len(list(_in_use(call))), call.known.serverless_endpoints
    if not is_serverless_configuration(configuration) or used < most:
        return None
    return {"at": "EndpointName", "most": str(most), "used": str(used)}


def _concurrency(call: Call) -> Breach | None:
    wanted = concurrency(call.known.configurations[call.body["EndpointConfigName"]])
    used, most = sum(map(concurrency, _in_use(call))), call.known.serverless_concurrency
    if wanted == 0 or used + wanted <= most:
        return None
    return {
        "at": "EndpointConfigName",
        "most": str(most),
        "used": str(used),
        "wanted": str(wanted),
    }


def _not_found(resource: str, operations: tuple[str, ...], text: str, source: Source) -> Rule:
    return Rule(
        name=f"{resource.lower()}-found",
        operations=operations,
        says=f"The {resource} that is named exists.",
        source=source,
        text=text,
        words=Evidence.REPORTED,
        needs=True,
        breach=missing(resource),
    )


RULES = (
    _not_found("Model", ("DescribeModel", "DeleteModel"), NO_MODEL, contract("6.48")),
    _not_found(
        "EndpointConfig",
        ("DescribeEndpointConfig", "DeleteEndpointConfig", "CreateEndpoint"),
        NO_CONFIGURATION,
        contract("6.47"),
    ),
    _not_found(
        "Endpoint",
        (
            "DescribeEndpoint",
            "DeleteEndpoint",
            "UpdateEndpoint",
            "UpdateEndpointWeightsAndCapacities",
        ),
        'Could not find endpoint "<arn>".',
        contract("6.46"),
    ),
    Rule(
        name="endpoint-model-found",
        operations=CREATE,
        says="Every model of the configuration still exists.",
        source=contract("6.48"),
        text=NO_MODEL,
        words=Evidence.REPORTED,
        needs=True,
        breach=model_missing,
    ),
    Rule(
        name="endpoint-is-new",
        operations=CREATE,
        says="No endpoint of this name exists, whatever the case of its letters.",
        source=contract("6.8"),
        text='Cannot create already existing endpoint "<arn>".',
        words=Evidence.REPORTED,
        needs=True,
        breach=_duplicate,
    ),
    Rule(
        name="serverless-endpoints",
        operations=CREATE,
        says="An account has at most 50 serverless endpoints in a region, or what it was granted.",
        source=contract("4.5"),
        code=LIMIT,
        text="The account-level limit of serverless endpoints is <most>, with current utilization"
        " of <used> and a request delta of 1.",
        needs=True,
        breach=_endpoints,
    ),
    Rule(
        name="serverless-concurrency",
        operations=CREATE,
        says="MaxConcurrency of an account's serverless endpoints is at most 1000 together, or what"
        " it was granted.",
        source=contract("4.4"),
        code=LIMIT,
        text="The account-level limit of total concurrency of serverless endpoints is <most>, with"
        " current utilization of <used> and a request delta of <wanted>.",
        needs=True,
        breach=_concurrency,
    ),
    Rule(
        name="endpoint-at-rest-to-delete",
        operations=("DeleteEndpoint",),
        says="An endpoint that is created, updated or rolled back cannot be deleted.",
        source=contract("6.50"),
        text=IN_PROGRESS,
        words=Evidence.REPORTED,
        needs=True,
        breach=in_state(BUSY),
    ),
)
