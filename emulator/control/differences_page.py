"""The page of what SageMaker does and moto does not, made of the two tables.

Owns: the page's words and layout. Must not know: where it is written; `make catalog` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emulator.control.differences import ANSWERS, Difference
from emulator.control.differences_refused import REFUSALS

HEAD = """\
# Differences from moto

Made by `make catalog` from emulator/control/differences*.py; do not edit. A test sends the same
calls to bare moto and to byoc's URL and compares the answers: every difference stands here with the
reason, and nothing stands here that does not differ. The evidence is that of AWS's side:
documented, reported, or inferred.

moto keeps the records and answers for IAM, STS, S3, ECR, CloudFormation and the rest; SageMaker's
own calls are answered as below.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD, "## Answers", "", *_table(ANSWERS), "", "## Refusals", "", *_table(REFUSALS)]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Difference]) -> Iterable[str]:
    yield "| what | moto | AWS, and byoc | why | seen with |"
    yield "|---|---|---|---|---|"
    for row in rows:
        why = f"{row.source.evidence.value}, [{row.source.row}]({row.source.url})"
        yield f"| {row.what} | {row.moto} | {row.aws} | {why} | {', '.join(_seen(row))} |"


def _seen(row: Difference) -> list[str]:
    """The operations, in the order of the cases."""
    found = (case.partition(":")[0].partition(",")[0] for case in row.cases)
    return [f"`{name}`" for name in dict.fromkeys(found) if " " not in name] or ["any"]
