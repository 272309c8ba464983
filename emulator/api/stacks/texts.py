"""What CloudFormation says, word for word where it was captured in public.

Owns: the texts. Must not know: when they are said.

Where no page is named the text is ours, or too common to have one source.
"""

from __future__ import annotations

from typing import Final

from emulator.runtime_errors import OWN_WORDS

INITIATED: Final = "User Initiated"
CREATION_BEGUN: Final = "Resource creation Initiated"
REPLACES: Final = (
    "Requested update requires the creation of a new physical resource; hence creating one."
)

REFUSED: Final = (
    "{message} (Service: {service}; Status Code: {status}; Error Code: {code};"
    " Request ID: {request_id}; Proxy: null)"
)
"""Of a call that CloudFormation made, in 2024, for a resource of SageMaker:
https://github.com/awslabs/sagemaker-deep-demand-forecast/issues/41. An endpoint that does not get
in service is told by its FailureReason alone, also in 2024:
https://github.com/aws-samples/comfyui-on-amazon-sagemaker/issues/2
"""

UNSUPPORTED: Final = f"Encountered unsupported property {{name}}. {OWN_WORDS}"

CUSTOM_NAMED: Final = (
    "CloudFormation cannot update a stack when a custom-named resource requires replacing."
    " Rename {name} and update the stack again."
)
"""https://github.com/awsdocs/aws-cloudformation-user-guide/issues/927"""

FAILED_TO: Final = "The following resource(s) failed to {what}: [{names}]. "
"""https://github.com/awslabs/sagemaker-deep-demand-forecast/issues/32"""

ROLLBACK_REQUESTED: Final = "Rollback requested by user."

NOT_ALL_CLEANED: Final = "Update successful. One or more resources could not be deleted."
"""https://github.com/rvedotrc/aws-cloudformation-stack-states/issues/2"""

NOTHING_TO_UPDATE: Final = "No updates are to be performed."

EXISTS: Final = "Stack [{name}] already exists"
EXISTS_FOR_CHANGE_SET: Final = (
    "Stack [{name}] already exists and cannot be created again with the changeSet [{change_set}]."
)
"""https://github.com/compose-x/ecs_composex/issues/785"""

NO_CHANGE_SET: Final = "ChangeSet [{change_set}] does not exist"

NOT_EXECUTABLE: Final = (
    "ChangeSet [{change_set}] cannot be executed in its current execution status of [{status}]"
)

CANNOT_UPDATE: Final = "Stack:{stack_id} is in {status} state and can not be updated."
CANNOT_DELETE: Final = "Stack [{stack_id}] cannot be deleted while in status {status}"
"""Both: https://github.com/aws-solutions-library-samples/
guidance-for-clickstream-analytics-on-aws/issues/573
"""

PROTECTED: Final = "Stack [{name}] cannot be deleted while TerminationProtection is enabled"

CAPABILITIES: Final = "Requires capabilities : [{capability}]"
"""https://github.com/envato/stack_master/issues/138; of a change set, when it is made:
https://github.com/molecule-man/stack-assembly/issues/4
"""

WHY_CAPABILITIES: Final = "The template has resources of IAM."

CIRCULAR: Final = "Circular dependency between resources: [{names}]"
UNRESOLVED: Final = (
    "Template format error: Unresolved resource dependencies [{names}] in the Resources block of"
    " the template"
)
UNSUPPORTED_ATTRIBUTE: Final = (
    "Template error: resource {} does not support attribute type {} in Fn::GetAtt"
)
NO_VALUES: Final = "Parameters: [{names}] must have values"
NOT_DECLARED: Final = "Parameters: [{names}] do not exist in the template"
TYPE_CHANGED: Final = (
    "Update of resource type is not permitted. The new template modifies resource type of the"
    " following resources: [{names}]"
)

NO_PARAMETER: Final = "Unable to fetch parameters [{name}] from parameter store for this account."

MADE_NOTHING: Final = "byoc made nothing here: it does not emulate {kind}."
NO_VALUE: Final = (
    "byoc does not emulate the attribute that {function} asks for. Put a value in its place to"
    " deploy this resource here."
)
EXPORTED: Final = "Export with name {name} is already exported by stack {stack}."
NOT_EMBEDDED: Final = "Embedded stack {stack_id} was not successfully {what}: {reason}"
"""https://github.com/awslabs/sagemaker-deep-demand-forecast/issues/32"""

FAULT: Final = "byoc failed on {what}: {error!r}"
