"""What a rule is: one row of the tables, and what it can ask of a call.

Owns: the row's fields, how its text is filled, and ARNs. Must not know: the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.control.known import Body, Known
from emulator.runtime_errors import OWN_WORDS
from emulator.sources import Evidence, Source

VALIDATION = "ValidationException"
LIMIT = "ResourceLimitExceeded"

KINDS = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}
"""Resources and how their ARNs call them."""

_PLACEHOLDER = re.compile(r"<(\w+)>")


def arn(resource: str, name: str, region: str, account: str) -> str:
    """As AWS writes it: the name in small letters."""
    china, government = region.startswith("cn-"), region.startswith("us-gov-")
    partition = "aws-cn" if china else "aws-us-gov" if government else "aws"
    return f"arn:{partition}:sagemaker:{region}:{account}:{KINDS[resource]}/{name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, and what was there when it came."""

    operation: str
    body: Body
    known: Known

    def arn(self, resource: str, name: str) -> str:
        return arn(resource, name, self.known.region, self.known.account)


Breach = Mapping[str, str]
"""What fills the placeholders of a broken rule's text; `at` is the member to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that AWS refuses and the service model cannot say.

    `text` is AWS's where `words` is documented, reproduced or reported; where it is inferred it is
    ours, and says so. `breach` answers None where the rule holds, or where that is not known.
    """

    name: str
    operations: tuple[str, ...]
    says: str
    source: Source
    text: str
    breach: Callable[[Call], Breach | None]
    words: Evidence = Evidence.INFERRED
    code: str = VALIDATION
    needs: bool = False  # whether it asks what is there
    evidence: Evidence | None = None  # of the refusal, where the source only tells the fact

    @property
    def known_as(self) -> Evidence:
        """How well it is known that AWS refuses this."""
        return self.evidence or self.source.evidence

    def message(self, breach: Breach) -> str:
        text = _PLACEHOLDER.sub(lambda m: breach.get(m[1], m[0]), self.text)
        return f"{text} {OWN_WORDS}" if self.words is Evidence.INFERRED else text


def is_set(value: Any) -> bool:
    """Whether a member says anything: an empty list or object is as good as none."""
    return value is not None and not (isinstance(value, dict | list | str) and not value)
