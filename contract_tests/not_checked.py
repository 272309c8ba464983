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
        clause="A server's own time limits let a request of 60 s finish.",
        reason="Needs a really slow request; see the slow checks planned for --slow.",
        source=failures("3.23"),
    ),
)
