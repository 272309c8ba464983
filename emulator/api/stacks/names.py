"""Names that CloudFormation makes up for resources that were given none.

Owns: their form, `stack-logical-RANDOM`. Must not know: who is named.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
"""

from __future__ import annotations

import secrets
import string

LONGEST = 63
RANDOM = 12
_ALPHABET = string.ascii_uppercase + string.digits


def made_up(stack: str, logical: str, *, longest: int = LONGEST) -> str:
    """Another one each time. Of a long name both parts lose their ends, the longer one first."""
    room = longest - RANDOM - len("--")
    half = room // 2
    of_logical = logical[: max(half, room - len(stack))]
    of_stack = stack[: room - len(of_logical)]
    parts = [part.strip("-") for part in (of_stack, of_logical)]
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM))
    return "-".join([part for part in parts if part] + [suffix])
