"""Which service and region a request is signed for.

Owns: reading the credential scope of AWS's Signature Version 4. Must not know: keys (any are taken,
no signature is checked), what a service does.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
"""

from __future__ import annotations

import re

from emulator.api.asgi import Scope, header

SIGNED_FOR = re.compile(rb"Credential=[^/,\s]*/[0-9]{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
"""Region and service."""


def region_of(scope: Scope) -> str | None:
    """That of the signature, if there is one."""
    found = SIGNED_FOR.search(header(scope, b"authorization"))
    return found[1].decode() if found else None
