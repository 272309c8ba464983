"""What CreateModel refuses of an image: its registry, its name, its region, its manifest.

Owns: the rows and their tests. Must not know: registries, engines, who looks images up.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.control.image_uri import ecr_image
from emulator.control.rule import Breach, Call, Rule, is_set
from emulator.control.rules_model import CREATE, containers
from emulator.sources import Evidence, contract

OCI = "application/vnd.oci.image."


def _images(call: Call) -> Iterator[tuple[str, str]]:
    """Images that must come from ECR, and where they are named."""
    for at, container in containers(call.body):
        access = (container.get("ImageConfig") or {}).get("RepositoryAccessMode")
        if is_set(container.get("Image")) and access != "Vpc":
            yield f"{at}.Image", container["Image"]


def _not_ecr(call: Call) -> Breach | None:
    for at, image in _images(call):
        if ecr_image(image) is None:
            return {"at": at, "image": image}
    return None


def _image_form(call: Call) -> Breach | None:
    for at, image in _images(call):
        parts = ecr_image(image)
        if parts is not None and not parts.valid:
            return {"at": at, "image": image}
    return None


def _other_region(call: Call) -> Breach | None:
    for at, image in _images(call):
        parts = ecr_image(image)
        if parts is not None and parts.region != call.known.region:
            return {"at": at, "image": image, "region": call.known.region}
    return None


def _image_missing(call: Call) -> Breach | None:
    for at, image in _images(call):
        if call.known.image(image) is None:
            return {"at": at, "image": image}
    return None


def _media_type(call: Call) -> Breach | None:
    for at, image in _images(call):
        known = call.known.image(image)
        kind = known.media_type if known else None
        if kind is not None and kind.startswith(OCI):
            return {"at": at, "image": image, "type": kind}
    return None


RULES = (
    Rule(
        name="image-in-ecr",
        operations=CREATE,
        says="An image comes from ECR, unless its RepositoryAccessMode is Vpc.",
        source=contract("5.7"),
        text='Using non-ECR image "<image>" without Vpc repository access mode is not supported.',
        words=Evidence.REPORTED,
        breach=_not_ecr,
    ),
    Rule(
        name="image-name",
        operations=CREATE,
        says="Repository, tag and digest are such as ECR can have. A tag may be left out.",
        source=contract("5.8"),
        text='ECR image "<image>" is invalid.',
        words=Evidence.REPORTED,
        breach=_image_form,
    ),
    Rule(
        name="image-region",
        operations=CREATE,
        says="The image's registry is in the model's region.",
        source=contract("5.6"),
        text='Region of "<image>" does not match expected region of <region>. Cross region ECR'
        " image pulls are not allowed.",
        words=Evidence.REPORTED,
        breach=_other_region,
    ),
    Rule(
        name="image-exists",
        operations=CREATE,
        says="The image was pushed.",
        source=contract("5.8"),
        text="Requested image <image> not found.",
        words=Evidence.REPORTED,
        needs=True,
        breach=_image_missing,
    ),
    Rule(
        name="manifest-media-type",
        operations=CREATE,
        says="The image's manifest is Docker's schema 2, not OCI's manifest or index.",
        source=contract("5.1"),
        text="Unsupported manifest media type <type> for image <image>. Ensure that valid manifest"
        " media type is used for specified image.",
        words=Evidence.REPRODUCED,
        needs=True,
        breach=_media_type,
    ),
)
