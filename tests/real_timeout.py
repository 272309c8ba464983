"""A request that takes longer than the platform waits, through boto3 and Docker, in real time.

Owns: the minute that it takes, in a process of its own, so that it passes beside other tests. Must
not know: what is right. Prints what happened as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator.local import ServerlessEndpoint
from tests.obedient_image import obedient

NAME = "timeout"


def call(client: Any, body: str) -> dict[str, Any]:
    """The answer's text or the parsed error, and the seconds until it came."""
    began = time.monotonic()
    try:
        answer = client.invoke_endpoint(EndpointName=NAME, Body=body.encode())
        told = {"text": answer["Body"].read().decode()}
    except ClientError as error:
        told = {"error": {**error.response, "class": type(error).__name__}}
    return {"seconds": time.monotonic() - began, **told}


def main() -> None:
    with ServerlessEndpoint(obedient(), name=NAME, max_concurrency=1) as endpoint:
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=endpoint.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=90),
        )
        calls = [call(client, body) for body in ("count", "sleep 120", "count")]
        instances = [one.instance for one in endpoint.invocations]
        client.close()
    json.dump({"calls": calls, "instances": instances}, sys.stdout)


if __name__ == "__main__":
    main()
