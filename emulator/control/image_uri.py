"""The form of an image's address in ECR.

Owns: taking one apart. Must not know: registries, engines, rules. What may be an address of ECR is
taken for one (also `-fips`, dual-stack and China's), so that only what is surely none is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn"
    r"|(?:c2s|csp)\.ic\.gov|sc2s\.sgov\.gov)",
    re.ASCII,
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*+"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*+", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrImage:
    """An address whose registry is ECR. `tag` and `digest` are None where none is named."""

    account: str
    region: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def valid(self) -> bool:
        """Whether ECR could have such an image at all."""
        return (
            _REPOSITORY.fullmatch(self.repository) is not None
            and (self.tag is None or _TAG.fullmatch(self.tag) is not None)
            and (self.digest is None or _DIGEST.fullmatch(self.digest) is not None)
        )


def ecr_image(uri: str) -> EcrImage | None:
    """None when the registry is not ECR."""
    host, slash, rest = uri.partition("/")
    found = _HOST.fullmatch(host)
    if found is None or not slash:
        return None
    rest, at, digest = rest.partition("@")
    repository, colon, tag = rest.partition(":")
    return EcrImage(
        account=found["account"],
        region=found["region"],
        repository=repository,
        tag=tag if colon else None,
        digest=digest if at else None,
    )
