"""What to do about a refused call, for the person who wrote it.

Owns: the cures, by rule. Must not know: who shows them. AWS says only what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from emulator.control.rules import Refusal

CURES: Mapping[str, str] = {
    "image-in-ecr": "Push the image to ECR and name it as"
    " ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG.",
    "image-name": "A repository has small letters, digits and . _ - /; a tag up to 128 characters.",
    "image-region": "Push the image to a repository in the region of the model.",
    "image-exists": "Push the image before the model is created.",
    "manifest-media-type": "Build with `docker buildx build --provenance=false --output"
    " type=docker`, or push with `-o type=registry,oci-mediatypes=false`.",
    "role-assumable": "Let the role's trust policy allow sts:AssumeRole for"
    " sagemaker.amazonaws.com.",
    "model-data-exists": "Upload it to that bucket first, with the same AWS_ENDPOINT_URL.",
    "model-is-new": "Delete the model first, or give it a new name for each deployment.",
    "configuration-is-new": "Delete it first, or give each configuration a new name, as with a"
    " date.",
    "endpoint-is-new": "Call UpdateEndpoint with a new configuration, or delete it first.",
    "endpoint-at-rest": "Wait for it: get_waiter('endpoint_in_service').",
    "endpoint-at-rest-to-delete": "Wait for it: get_waiter('endpoint_in_service').",
    "failed-only-deleted": "Delete the endpoint, then create it again.",
    "serverless-memory": "MemorySizeInMB: 1024, 2048, 3072, 4096, 5120 or 6144.",
    "serverless-provisioned": "Raise MaxConcurrency, or lower ProvisionedConcurrency.",
    "updated-provisioned": "Raise MaxConcurrency, or lower ProvisionedConcurrency.",
    "serverless-or-instances": "Leave InstanceType and InitialInstanceCount out, or leave"
    " ServerlessConfig out.",
    "no-way-to-serverless": "Delete the endpoint and create it again with the serverless"
    " configuration.",
}
"""Where the rule itself does not say what to do."""


def change(refused: Refusal) -> str:
    """One or two sentences; empty where AWS's own text says it."""
    if refused.rule is None:
        return ""
    cure = CURES.get(refused.rule.name, refused.rule.says)
    return f"{refused.at}: {cure}" if refused.at else cure
