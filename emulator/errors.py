"""What AWS prints when a container does not keep its side, one table, and our own error tree.

Owns: the platform's texts with their source, and the two kinds of failure that are not the
container's: `Usage` (what was asked makes no sense) and `EngineUnavailable` (in `engines`). Must
not know: checks, HTTP, Docker.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.sources import Source, contract, failures


class Usage(Exception):
    """The caller asked for something that cannot be done; the text names what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformText:
    """A text of AWS: where a user meets it, and its words. `...` marks what is not known."""

    where: str
    text: str
    source: Source

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


_SEE_LOGS = (
    "See https://<region>.console.aws.amazon.com/cloudwatch/home?region=<region>"
    "#logEventViewer:group=/aws/sagemaker/Endpoints/<endpoint> in account <account> for more"
    " information."
)

PING_FAILED = PlatformText(
    where="DescribeEndpoint, FailureReason",
    text=(
        "The primary container for production variant AllTraffic did not pass the ping health"
        " check. Please check CloudWatch logs for this endpoint."
    ),
    source=contract("2.2"),
)
STARTUP_TIMEOUT = PlatformText(
    where="DescribeEndpoint, FailureReason",
    text=(
        "Unable to successfully stand up your model within the allotted 180 second timeout ..."
        " (an instance says that the container did not pass the ping health check)"
    ),
    source=contract("4.20"),
)
CANNOT_START = PlatformText(
    where="DescribeEndpoint, FailureReason",
    text=(
        "CannotStartContainerError. Please ensure the model container for variant AllTraffic"
        " starts correctly when invoked with 'docker run <image> serve'"
    ),
    source=contract("1.2"),
)
SERVE_NOT_FOUND = PlatformText(
    where="DescribeEndpoint, FailureReason",
    text='Model entrypoint executable "serve" was not found in container PATH',
    source=contract("1.2"),
)
EXEC_FORMAT = PlatformText(
    where="CloudWatch log of the endpoint, which fails after some 24 minutes",
    text="exec <program>: exec format error",
    source=contract("5.9"),
)
MANIFEST_TYPE = PlatformText(
    where="CreateModel, ValidationException",
    text=(
        "Unsupported manifest media type application/vnd.oci.image.manifest.v1+json for image"
        " <image>. Ensure that valid manifest media type is used for specified image."
    ),
    source=contract("5.1"),
)
IMAGE_TOO_BIG = PlatformText(
    where="DescribeEndpoint, FailureReason",
    text="Image size <bytes> is greater than supported size 10737418240",
    source=contract("4.8"),
)
SERVER_ERROR = PlatformText(
    where="InvokeEndpoint, ModelError 424",
    text=f'Received server error (500) from primary with message "<body>". {_SEE_LOGS}',
    source=contract("3.9"),
)
CLIENT_ERROR = PlatformText(
    where="InvokeEndpoint, ModelError 424",
    text=f'Received client error (<status>) from primary with message "<body>". {_SEE_LOGS}',
    source=contract("3.9"),
)
INVOCATION_TIMEOUT = PlatformText(
    where="InvokeEndpoint, ModelError 424",
    text=(
        'Received server error (0) from primary with message "Your invocation timed out while'
        " waiting for a response from container primary. Review the latency metrics for each"
        ' container in Amazon CloudWatch, resolve the issue, and try again.". ' + _SEE_LOGS
    ),
    source=contract("3.13"),
)
NO_RESPONSE = PlatformText(
    where="InvokeEndpoint, ModelError 424",
    text=(
        'Received server error (0) from model with message "Amazon SageMaker could not get a'
        " response from the <endpoint> endpoint. This can occur when CPU or memory utilization"
        " is high. To check your utilization, see Amazon CloudWatch. To fix this problem, use an"
        ' instance type with more CPU capacity or memory."'
    ),
    source=failures("3.3"),
)
ARCHIVE = PlatformText(
    where="DescribeEndpoint, FailureReason",
    text=(
        'Failed to extract model data archive for container "container_1" from URL "<url>".'
        " Please ensure that the object located at the URL is a valid tar.gz archive"
    ),
    source=contract("1.12"),
)
