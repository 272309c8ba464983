"""Chapter multi_container: a container beside others on one endpoint, or in an inference pipeline,
for images whose label says that they can be that.

Owns: the clause on the port. Must not know: how a container is started. A serverless endpoint has
one container (contract 4.14), so there a broken promise is a SHOULD.
"""

from __future__ import annotations

from dataclasses import replace

from contract_tests.check import BIND_TO_PORT, MUST, SHOULD, check, expect
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.errors import PING_FAILED
from emulator.sources import contract

VARIABLE = "SAGEMAKER_BIND_TO_PORT"

PORT = 20080
"""Any but 8080, and none of SAGEMAKER_SAFE_PORT_RANGE: those the container may take for itself."""


@check(
    {"serverless": SHOULD, "realtime": MUST},
    "With SAGEMAKER_BIND_TO_PORT the container serves on that port instead of 8080.",
    source=contract("7.6"),
    catalogue="MCE-001",
    caught_by="ignores-bind-to-port",
    aws_shows=PING_FAILED,
    fix=f'Take the port from the environment: os.environ.get("{VARIABLE}", "8080"); in nginx.conf'
    " by envsubst at start. If the image is not meant for multi-container endpoints, take the label"
    " back, which may come from the base image:"
    " LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=false.",
    needs=("stays-alive",),
    requires=(BIND_TO_PORT,),
)
def test_bind_to_port(target: Target, container: Subject) -> None:
    usual = target.spec
    spec = replace(usual, port=PORT, environment={**usual.environment, VARIABLE: str(PORT)})
    trial = target.trial(f"port {PORT}", spec)
    expect(
        trial.served,
        expected=f"the same server on port {PORT} as on {usual.port}, with {VARIABLE}={PORT}",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(spec),
    )
