"""The model's archive in the local S3, where a deployment reads it.

Owns: packing what --model-data names, and putting it there. Must not know: templates, scripts.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from contract_tests.deploy_local import LocalAws

FIRST = "us-east-1"
"""The one region whose buckets are made without naming it."""


def put_model_data(aws: LocalAws, url: str, source: Path | None, region: str = "") -> None:
    """At an S3 URL; of another form or without a source nothing is put."""
    parts = urlsplit(url)
    key = parts.path.lstrip("/")
    if source is None or parts.scheme != "s3" or not (parts.netloc and key):
        return
    region = region or aws.region
    client = aws.client("s3", region)
    there = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if parts.netloc not in there:
        elsewhere = {} if region == FIRST else {"LocationConstraint": region}
        more = {"CreateBucketConfiguration": elsewhere} if elsewhere else {}
        client.create_bucket(Bucket=parts.netloc, **more)
    client.put_object(Bucket=parts.netloc, Key=key, Body=packed(source))


def packed(source: Path) -> bytes:
    """An archive as it is; a directory as one, with its files at the top."""
    if not source.is_dir():
        return source.read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(source.iterdir()):
            archive.add(path, arcname=path.name)
    return buffer.getvalue()
