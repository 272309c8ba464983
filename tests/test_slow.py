"""Owns: the platform's 60 seconds as they really pass: the request is cut with AWS's words, the
instance is replaced, the next call is good. Everything else about time is tested on a clock that
does not wait.
"""

from __future__ import annotations

import json

import pytest

from tests.background import Background

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SEE = (
    "See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
    "#logEventViewer:group=/aws/sagemaker/Endpoints/timeout in account 123456789012 for more"
    " information."
)
WORDS = (
    "Your invocation timed out while waiting for a response from container primary. Review the"
    " latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


def test_a_request_is_cut_after_60_seconds_and_its_instance_replaced(
    real_timeout: Background,
) -> None:
    """contract 3.25"""
    told = json.loads(real_timeout.output(100))
    first, cut, after = told["calls"]
    assert first["text"] == "0"
    assert 60 <= cut["seconds"] < 62
    error = cut["error"]
    assert error["class"] == error["Error"]["Code"] == "ModelError"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert error["Error"]["Message"] == (
        f'Received server error (0) from primary with message "{WORDS}". {SEE}'
    )
    assert error["OriginalStatusCode"] == 0
    assert error["OriginalMessage"] == WORDS
    assert after["text"] == "0", "another container, which no request came to before"
    assert told["instances"] == [1, 1, 2]
