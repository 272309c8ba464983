#!/usr/bin/env python3
"""Puts an image behind a SageMaker serverless endpoint, asks it, changes it, removes it.

    image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/iris:3f9c0a1b2d4e
    python deploy.py deploy iris --image $image --role-arn arn:aws:iam::123456789012:role/iris
    python deploy.py invoke iris --payload iris.json
    python deploy.py delete iris

AWS lets nobody change a model or an endpoint configuration, so each is named after what is in it
(`iris-5be01c77`): the same command given twice makes nothing twice, and `update` can go back. What
a name cannot see is a tag that moves: give the image one that does not, as build_and_push.sh does.

Exit codes: 0 done; 1 AWS said no, or the endpoint is not in service; 2 wrong options.
"""

import argparse
import hashlib
import json
import mimetypes
import re
import sys
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

NAMES = {
    "endpoint": "EndpointName",
    "endpoint_config": "EndpointConfigName",
    "model": "ModelName",
}
TYPES = {".csv": "text/csv", ".npy": "application/x-npy"}


class Failed(Exception):
    """Ends the program with 1; the text says what to do."""


def deploy(aws, args):
    """Makes what is not there yet; an endpoint that serves something else is left alone."""
    found = describe(aws, "endpoint", args.name)
    if found and found["EndpointStatus"] == "Failed":
        raise Failed(f"{trouble(found)}\nAWS lets you only `delete` it; deploy again after that.")
    wanted = make_configuration(aws, args)
    if not found:
        aws.create_endpoint(EndpointName=args.name, EndpointConfigName=wanted)
    elif found["EndpointConfigName"] != wanted:
        raise Failed(f"{args.name} serves {found['EndpointConfigName']}; `update` changes that.")
    finish(aws, args, wanted)


def update(aws, args):
    """Blue/green: the former configuration serves until the new one does, or again if it fails."""
    found = describe(aws, "endpoint", args.name)
    if not found:
        raise Failed(f"There is no endpoint {args.name}; `deploy` makes it.")
    wanted = make_configuration(aws, args)
    if found["EndpointConfigName"] != wanted:
        aws.update_endpoint(EndpointName=args.name, EndpointConfigName=wanted)
    finish(aws, args, wanted)


def make_configuration(aws, args):
    """A model and an endpoint configuration of these options. Gives the name of both."""
    container = {"Image": args.image, "Environment": dict(args.env)}
    if args.model_data_url:
        container["ModelDataUrl"] = args.model_data_url
    serverless = {"MemorySizeInMB": args.memory, "MaxConcurrency": args.max_concurrency}
    if args.provisioned_concurrency:
        serverless["ProvisionedConcurrency"] = args.provisioned_concurrency

    content = json.dumps([container, serverless, args.role_arn], sort_keys=True)
    name = f"{args.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if not describe(aws, "model", name):
        aws.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=args.role_arn)
    if not describe(aws, "endpoint_config", name):
        aws.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": serverless}
            ],
        )
    return name


def finish(aws, args, wanted):
    """Waits for the endpoint, unless it shall not, and says how it ended."""
    if not args.wait:
        print(f"{args.name} is on its way to {wanted}; `status` tells when it is there.")
        return
    print(f"Waiting for {args.name}, for some minutes as a rule.", file=sys.stderr)
    try:
        aws.get_waiter("endpoint_in_service").wait(EndpointName=args.name)
    except WaiterError as error:
        raise Failed(trouble({"EndpointName": args.name, **error.last_response})) from None
    found = aws.describe_endpoint(EndpointName=args.name)
    if found["EndpointConfigName"] != wanted:
        raise Failed(f"AWS went back to the former configuration. {trouble(found)}")
    print(f"{args.name} is InService with {wanted}.")


def invoke(aws, args):  # noqa: ARG001 (one signature for all)
    """Sends a file, and writes the answer to stdout as it came."""
    # The platform ends a request after 60 s; a client that gave up by then would send it again.
    runtime = client("sagemaker-runtime", args.region, read_timeout=70)
    request = {"EndpointName": args.name, "Body": args.payload.read_bytes()}
    request["ContentType"] = args.content_type or content_type(args.payload)
    if args.accept:
        request["Accept"] = args.accept
    try:
        answer = runtime.invoke_endpoint(**request)
    except runtime.exceptions.ModelError as error:
        status, text = (error.response.get(f"Original{key}") for key in ("StatusCode", "Message"))
        raise Failed(f"The container answered {status}: {text}\n{logs(args.name)}") from None
    sys.stdout.buffer.write(answer["Body"].read())


def status(aws, args):
    """One line, and the reason where there is one."""
    found = describe(aws, "endpoint", args.name)
    if not found:
        raise Failed(f"There is no endpoint {args.name}.")
    if found["EndpointStatus"] == "Failed":
        raise Failed(trouble(found))
    print(f"{args.name} is {found['EndpointStatus']} with {found['EndpointConfigName']}.")


def delete(aws, args):
    """The endpoint, then every configuration and model that this program made for it."""
    if describe(aws, "endpoint", args.name):
        aws.delete_endpoint(EndpointName=args.name)
        aws.get_waiter("endpoint_deleted").wait(EndpointName=args.name)
    ours = re.compile(re.escape(args.name) + "-[0-9a-f]{8}")
    for kind, list_key in (("endpoint_config", "EndpointConfigs"), ("model", "Models")):
        pages = aws.get_paginator(f"list_{kind}s").paginate(NameContains=args.name)
        names = [item[NAMES[kind]] for page in pages for item in page[list_key]]
        for name in filter(ours.fullmatch, names):
            getattr(aws, f"delete_{kind}")(**{NAMES[kind]: name})
    print(f"{args.name} is gone, and so are its configurations and models.")


def describe(aws, kind, name):
    """What AWS tells of it, or None when there is nothing of this name."""
    try:
        return getattr(aws, f"describe_{kind}")(**{NAMES[kind]: name})
    except ClientError as error:
        # ValidationException is the code of everything: only the text tells.
        if "Could not find" in error.response["Error"]["Message"]:
            return None
        raise


def trouble(found):
    reason = found.get("FailureReason") or found.get("Error", {}).get("Message") or "No reason."
    status = found.get("EndpointStatus", "not to be seen")
    return f"{found['EndpointName']} is {status}: {reason}\n{logs(found['EndpointName'])}"


def logs(name):
    return f"Its log: aws logs tail /aws/sagemaker/Endpoints/{name} --since 1h"


def content_type(path):
    guessed, _ = mimetypes.guess_type(path.name)
    return TYPES.get(path.suffix) or guessed or "application/octet-stream"


def client(service, region, **config):
    return boto3.client(service, region_name=region, config=Config(**config))


def endpoint_name(text):
    # AWS takes 63 characters; nine are for the digest in the names of model and configuration.
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,53}", text):
        raise argparse.ArgumentTypeError("letters, digits and inner hyphens, 54 at most")
    return text


def variable(text):
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError("NAME=VALUE is expected")
    return name, value


def parser():
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for run in (deploy, update, invoke, status, delete):
        command = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        add = command.add_argument
        add("name", type=endpoint_name, help="of the endpoint")
        add("--region", help="AWS's own default otherwise: AWS_DEFAULT_REGION or the profile's")
        if run in (deploy, update):
            add("--image", required=True, help="its URI in ECR, with a tag")
            add("--role-arn", required=True, help="the role that SageMaker takes to run it")
            add("--memory", type=int, choices=range(1024, 6145, 1024), default=2048, help="MB")
            add("--max-concurrency", type=int, default=5, help="1 to 200; 5")
            add("--provisioned-concurrency", type=int, help="kept warm, and paid for")
            add("--model-data-url", help="s3://bucket/model.tar.gz, unpacked to /opt/ml/model")
            add("--env", type=variable, action="append", default=[], metavar="NAME=VALUE")
            add("--wait", action=argparse.BooleanOptionalAction, default=True)
        if run is invoke:
            add("--payload", type=Path, required=True, help="the file that is sent")
            add("--content-type", help="that of the file's extension otherwise")
            add("--accept", help="the content type of the answer")
    return top


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        args.run(client("sagemaker", args.region), args)
    except ClientError as error:
        told = error.response["Error"]
        return f"{error.operation_name}: {told['Code']}: {told['Message']}"
    except (Failed, BotoCoreError, OSError) as error:
        return str(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
