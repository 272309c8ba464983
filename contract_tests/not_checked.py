"""Clauses of the contract that no check judges, each with the reason and a link.

Owns: the list. Must not know: how it is shown. Absence is told, so that a green run is not taken
for more than it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.sources import Source, contract, failures


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChecked:
    clause: str
    reason: str
    source: Source

    def to_json(self) -> dict[str, str]:
        return {
            "clause": self.clause,
            "reason": self.reason,
            "source": self.source.row,
            "link": self.source.url,
        }


NOT_CHECKED: tuple[NotChecked, ...] = (
    NotChecked(
        clause="Model artifacts are downloaded and the container is ready within 180 s in all.",
        reason="The download from S3 happens on AWS; here only the container's start is timed.",
        source=contract("4.20"),
    ),
    NotChecked(
        clause="A request takes at most 60 s on AWS's processors.",
        reason=(
            "The share of CPU at a memory size is inferred from Lambda, and this machine's cores"
            " are not AWS's: a run near the limit here may be over it there."
        ),
        source=contract("4.9"),
    ),
    NotChecked(
        clause="The role may pull the image and read the model data.",
        reason="IAM, ECR permissions and bucket policies exist only on AWS.",
        source=contract("1.8"),
    ),
    NotChecked(
        clause="The container uses the credentials that the platform hands to it.",
        reason="No credential service runs here, and what serverless sets is not published.",
        source=contract("1.18"),
    ),
    NotChecked(
        clause="The container runs as the user, and with the file permissions, of serverless.",
        reason=(
            "AWS does not publish them. Both readings that public reports allow are tried, as"
            " SHOULD: root without CAP_DAC_OVERRIDE, and an arbitrary user."
        ),
        source=contract("1.15"),
    ),
    NotChecked(
        clause="The image needs no instructions (AVX-512, say) that AWS's processors lack.",
        reason="It would need the processor that AWS happens to give.",
        source=contract("5.9"),
    ),
    NotChecked(
        clause="An instance works after it was frozen for minutes.",
        reason="Frozen are two seconds: what expires only after minutes shows on AWS alone.",
        source=contract("4.58"),
    ),
    NotChecked(
        clause="A request that waits for a minute, for a GPU or a service, is not cut off.",
        reason=(
            "--slow makes a request slow by taking the processor away from it. It says nothing of"
            " one that sleeps, nor of one that costs less than 0.11 s and cannot be made longer;"
            " and it ends at 55 s, for the last five belong to the machine it runs on."
        ),
        source=failures("3.31"),
    ),
    NotChecked(
        clause="A wrong answer to /ping now and then does not take an instance out of service.",
        reason="AWS tells neither how many it forgives nor how long it waits.",
        source=contract("2.10"),
    ),
    NotChecked(
        clause="The container serves batch transform jobs and asynchronous endpoints too.",
        reason=(
            "Their bodies (100 MB, 1 GB), their hour of time and GET /execution-parameters are not"
            " played here: only real-time and serverless endpoints are."
        ),
        source=contract("3.12"),
    ),
    NotChecked(
        clause="A response stream sends its parts as they are made, and ends within 8 minutes.",
        reason=(
            "Which requests are answered in parts, only their author knows; `byoc serve` passes a"
            " stream on, so that a client of yours can look."
        ),
        source=contract("3.14"),
    ),
    NotChecked(
        clause="The image is in ECR, in the region of its endpoint.",
        reason="A local image has no region; CreateModel is where AWS looks, and `byoc serve` too.",
        source=contract("5.6"),
    ),
    NotChecked(
        clause="The account's quota allows the endpoint's concurrency and memory.",
        reason="Quotas are an account's own; new accounts often have far less than is documented.",
        source=contract("4.4"),
    ),
    NotChecked(
        clause="The first request after an idle time is quick enough for its caller.",
        reason=(
            "After how long AWS takes an idle instance away is not published, nor how fast it"
            " brings image and model to a new one. Here a cold start is only the container's own;"
            " `byoc plan` reckons with your numbers."
        ),
        source=contract("4.25"),
    ),
    NotChecked(
        clause="No request is lost while an endpoint is updated.",
        reason=(
            "How AWS drains the old instances is not told for serverless. What the container owes"
            " is checked: it finishes what is in flight when it is told to stop."
        ),
        source=contract("4.57"),
    ),
    NotChecked(
        clause="What the container prints arrives in CloudWatch.",
        reason="The role must allow it, and only AWS has the role; that it is printed is checked.",
        source=contract("1.29"),
    ),
    NotChecked(
        clause="Memory stays bounded for days.",
        reason="A run sends hundreds of requests; a leak of some bytes shows after millions.",
        source=failures("3.26"),
    ),
    NotChecked(
        clause="A model of a multi-model endpoint is loaded within 60 s, or its caller gets"
        " ModelNotReadyException.",
        reason=(
            "Each model's way from S3 and its eviction are the platform's; only the container's own"
            " load, list, invoke and unload are checked."
        ),
        source=contract("7.4"),
    ),
    NotChecked(
        clause="Containers of a multi-container endpoint fit into the instance's memory together.",
        reason="One image is checked at a time; of it, that it binds the port that it is told.",
        source=contract("7.6"),
    ),
    NotChecked(
        clause="On a GPU instance the image's CUDA works with the driver that AWS brings.",
        reason="It would need that instance; what an image must not bring along is checked.",
        source=failures("3.21"),
    ),
    NotChecked(
        clause="A container that says it can stream in both directions does.",
        reason=(
            "The label com.amazonaws.sagemaker.capabilities.bidirectional-streaming is for a"
            " WebSocket of the author's own protocol; serverless endpoints have none."
        ),
        source=contract("1.23"),
    ),
)
