"""Chapter multi_model: the container's half of a multi-model endpoint, for images whose label says
that they have it.

Owns: the clauses on loading, listing, asking for, invoking and unloading models. Must not know: how
the requests look (`models_api`). One container is started for all of them; the last check may end
it. A serverless endpoint has one model (contract 4.14), so there a broken promise is a SHOULD.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from contract_tests.check import (
    MULTI_MODEL,
    MUST,
    PAYLOAD,
    SHOULD,
    Level,
    advise,
    blocked,
    check,
    expect,
    not_applicable,
)
from contract_tests.models_api import (
    CALLER_SECONDS,
    FIRST,
    SECOND,
    UNKNOWN,
    VARIABLE,
    Models,
    invoke_request,
    load_request,
    model_request,
)
from contract_tests.settings import Payload
from contract_tests.target import Target
from contract_tests.test_startup import STATIC
from emulator.errors import CLIENT_ERROR, PING_FAILED, SERVER_ERROR
from emulator.http import Request
from emulator.limits import Profile
from emulator.sources import contract

PROMISED: Mapping[Profile, Level] = {"serverless": SHOULD, "realtime": MUST}
NOT_FOUND, CONFLICT, INSUFFICIENT_STORAGE = 404, 409, 507
AT_ONCE, ROUNDS = 4, 4
"""Enough that two workers which share a port both get some; no more than a short backlog takes."""

OR_NO_LABEL = (
    " If the image is not meant for multi-model endpoints, take the label back, which may come from"
    " the base image: LABEL com.amazonaws.sagemaker.capabilities.multi-models=false."
)


@pytest.fixture(scope="module")
def models(target: Target) -> Iterator[Models]:
    """The container in multi-model mode, shared by the checks of this chapter."""
    with closing(Models(target)) as opened:
        yield opened


@check(
    PROMISED,
    "With SAGEMAKER_MULTI_MODEL=true and no model at all, /ping answers 200.",
    source=contract("7.5"),
    catalogue="MME-001",
    caught_by="multi-model-wants-a-model",
    aws_shows=PING_FAILED,
    fix=f"With {VARIABLE}=true start without a model: /opt/ml/model is not there, and models come"
    " later by POST /models." + OR_NO_LABEL,
    needs=STATIC,
    requires=(MULTI_MODEL,),
)
def test_multi_model_start(target: Target, models: Models) -> None:
    subject = models.start()
    if not subject.ready and target.first is not None and not target.first.ready:
        blocked("it does not get ready as an ordinary container either: see chapter startup")
    wanted = f"200 on /ping with {VARIABLE}=true and no model"
    _holds(models, subject.ready, wanted, subject.start.describe())


@check(
    PROMISED,
    "GET /models answers 200 while no model is loaded.",
    source=contract("7.2"),
    catalogue="MME-002",
    caught_by="multi-model-other-port",
    aws_shows=PING_FAILED,
    fix='Serve GET /models on the port of /ping; answer {"models": []} when there is none. Servers'
    " with a management API of its own port (TorchServe, Multi Model Server) need both on one."
    + OR_NO_LABEL,
    needs=("multi-model-start",),
    requires=(MULTI_MODEL,),
)
def test_multi_model_list_route(models: Models) -> None:
    reply = models.list()
    _holds(models, reply.ok, "200 for GET /models", reply, reply.request)


@check(
    PROMISED,
    "POST /models loads the model that its JSON body names, and answers 2xx when it can be used.",
    source=contract("7.1"),
    catalogue="MME-003",
    caught_by="multi-model-query-load",
    aws_shows=SERVER_ERROR,
    fix='Read {"model_name": ..., "url": "/opt/ml/models/<name>/model"} from the body of POST'
    " /models, load from that directory (it is read-only), and answer when the model is ready.",
    needs=("multi-model-list-route",),
    requires=(MULTI_MODEL,),
)
def test_multi_model_load_route(models: Models) -> None:
    for name in (FIRST, SECOND):
        reply = models.load(name)
        wanted = "2xx for POST /models with a new model's name"
        _holds(models, reply.ok, wanted, reply, reply.request)
        advise(
            reply.seconds <= CALLER_SECONDS,
            expected=f"a model loaded within {CALLER_SECONDS:g} s: later its caller has got"
            " ModelNotReadyException",
            actual=reply,
        )


@check(
    PROMISED,
    "A loaded model answers whichever process of the container takes the request.",
    source=contract("7.1"),
    catalogue="MME-004",
    caught_by="multi-model-two-workers",
    aws_shows=CLIENT_ERROR,
    fix="Keep what is loaded where every worker sees it: one process with threads (gunicorn"
    " --workers 1 --threads 8), or tell all workers. A dict of the module is each worker's own.",
    needs=("multi-model-load-route",),
    requires=(MULTI_MODEL,),
)
def test_multi_model_every_worker(models: Models, payloads: tuple[Payload, ...]) -> None:
    name = models.loaded(FIRST)
    request = model_request("GET", name)
    if payloads:
        request = invoke_request(name, payloads[0].body, payloads[0].content_type)
    replies = [reply for _ in range(ROUNDS) for reply in models.at_once(request, AT_ONCE)]
    missing = [reply for reply in replies if reply.status == NOT_FOUND]
    if len(missing) == len(replies):
        not_applicable(f"each answer is a 404: {missing[0]}; see the next checks")
    wanted = f"no 404 among {len(replies)} answers of a loaded model"
    actual = f"{len(missing)} of them are 404: {next(iter(missing), '')}"
    _holds(models, not missing, wanted, actual, load_request(name), request)


@check(
    PROMISED,
    "POST /models/{model_name}/invoke answers a good request with a 2xx.",
    source=contract("7.3"),
    catalogue="MME-005",
    caught_by="multi-model-by-target",
    aws_shows=CLIENT_ERROR,
    fix="Serve POST /models/<name>/invoke and look the model up by the name in the path. The header"
    " X-Amzn-SageMaker-Target-Model holds what the caller wrote, not that name.",
    needs=("multi-model-load-route", "multi-model-every-worker"),
    requires=(MULTI_MODEL, PAYLOAD),
)
def test_multi_model_invoke_route(models: Models, payloads: tuple[Payload, ...]) -> None:
    for name in (models.loaded(FIRST), models.loaded(SECOND)):
        for payload in payloads:
            reply = models.invoke(name, payload)
            wanted = f"2xx for {payload.name}"
            _holds(models, reply.ok, wanted, reply, load_request(name), reply.request)


@check(
    SHOULD,
    "POST /models answers 409 when a model of that name is loaded already.",
    source=contract("7.1"),
    catalogue="MME-006",
    caught_by="multi-model-loads-again",
    fix="Look the name up before you load, under a lock, and answer 409 when it is there: else the"
    " model lies in memory twice.",
    needs=("multi-model-load-route", "multi-model-every-worker"),
    requires=(MULTI_MODEL,),
)
def test_multi_model_second_load(models: Models) -> None:
    reply = models.load_again(models.loaded(FIRST))
    wanted = "409 for POST /models with the name of a loaded model"
    _holds(models, reply.status == CONFLICT, wanted, reply, reply.request, reply.request)


@check(
    SHOULD,
    "GET /models lists each loaded model as modelName, over all pages.",
    source=contract("7.2"),
    catalogue="MME-007",
    caught_by="multi-model-own-list",
    fix='Answer {"models": [{"modelName": ..., "modelUrl": ...}]} with the names of POST /models;'
    ' with many models a page and its "nextPageToken", which comes back as ?next_page_token=.',
    needs=("multi-model-load-route", "multi-model-every-worker"),
    requires=(MULTI_MODEL,),
)
def test_multi_model_names(models: Models) -> None:
    wanted = {models.loaded(FIRST), models.loaded(SECOND)}
    names, reply = models.names()
    expected = f"modelName {' and '.join(sorted(wanted))} in the answer to GET /models"
    complete = names is not None and wanted <= names
    _holds(models, complete, expected, reply, load_request(FIRST), reply.request)


@check(
    SHOULD,
    "GET /models/{model_name} answers 200 for a model that is loaded.",
    source=contract("7.2"),
    catalogue="MME-008",
    caught_by="multi-model-no-get",
    fix='Serve GET /models/<name>: {"modelName": ..., "modelUrl": ...} for a loaded model.',
    needs=("multi-model-load-route", "multi-model-every-worker"),
    requires=(MULTI_MODEL,),
)
def test_multi_model_get_route(models: Models) -> None:
    reply = models.get(models.loaded(FIRST))
    wanted = "200 for GET /models/{model_name} of a loaded model"
    _holds(models, reply.ok, wanted, reply, load_request(FIRST), reply.request)


@check(
    SHOULD,
    "DELETE /models/{model_name} unloads a model: afterwards it is not there, and can be loaded"
    " again.",
    source=contract("7.2"),
    catalogue="MME-009",
    caught_by="multi-model-keeps",
    fix="Drop every reference to the model before you answer DELETE /models/<name> with 200: the"
    " platform loads the next model into the memory that becomes free.",
    needs=("multi-model-load-route", "multi-model-every-worker", "multi-model-second-load"),
    requires=(MULTI_MODEL,),
)
def test_multi_model_unload(models: Models) -> None:
    name = models.loaded(SECOND)
    steps = load_request(name), model_request("DELETE", name), load_request(name)
    reply = models.unload(name)
    wanted = "2xx for DELETE /models/{model_name} of a loaded model"
    _holds(models, reply.ok, wanted, reply, *steps[:2])
    again = models.load(name)
    wanted = "2xx for POST /models with a name that was unloaded"
    _holds(models, again.ok, wanted, again, *steps)


@check(
    SHOULD,
    "To unload or to invoke a model that is not loaded is answered with 404.",
    source=contract("7.3"),
    catalogue="MME-010",
    caught_by="multi-model-key-error",
    fix="Catch the missing name (a KeyError, often) in DELETE /models/<name> and in POST"
    " /models/<name>/invoke, and answer 404.",
    needs=("multi-model-list-route", "multi-model-unload"),
    requires=(MULTI_MODEL,),
)
def test_multi_model_unknown(models: Models, payloads: tuple[Payload, ...]) -> None:
    requests = [model_request("DELETE", UNKNOWN)]
    requests += [invoke_request(UNKNOWN, one.body, one.content_type) for one in payloads[:1]]
    for request in requests:
        reply = models.ask(request)
        wanted = f"404 for {request.method} {request.path}, which is not loaded"
        _holds(models, reply.status == NOT_FOUND, wanted, reply, request)


@check(
    SHOULD,
    "POST /models answers 507 when a further model does not fit.",
    source=contract("7.1"),
    catalogue="MME-011",
    caught_by="multi-model-no-507",
    fix="Answer 507 where loading fails for memory or another resource (`except MemoryError:`): the"
    " platform then unloads other models and tries again.",
    needs=("multi-model-load-route", "multi-model-every-worker"),
    requires=(MULTI_MODEL,),
)
def test_multi_model_memory(models: Models) -> None:
    models.loaded(FIRST)
    models.ready().may_end = True
    copies, reply = models.fill()
    if reply.ok:
        not_applicable(f"{copies} more models fit, and to try others would take too long")
    if reply.status is None:  # AWS's own Multi Model Server ends so too
        not_applicable(
            f"after {copies} more models the container was at its end ({reply.outcome.value}): the"
            " platform unloads models before it comes to that"
        )
    actual, wanted = f"after {copies} more models: {reply}", "507 for POST /models"
    _holds(models, reply.status == INSUFFICIENT_STORAGE, wanted, actual, load_request(FIRST))


def _holds(models: Models, holds: bool, expected: str, actual: object, *requests: Request) -> None:
    """`expect`, with the log of this chapter's container and what to type to see the same."""
    if not holds:
        repeat = models.repeat(*requests)
        expect(False, expected=expected, actual=actual, log=models.log(), reproduce=repeat)
