"""Where each rule comes from: a row of our reference, its public address, and how well it is known.

Owns: the table. Must not know: what the rules are used for. A row is cited as `contract("2.3")`;
an unknown row is an error at import, so nothing in the tree can cite a source that is not here.

Evidence: `documented` is AWS's own documentation or service model; `reproduced` was measured on a
real engine or client, or captured on AWS by two or more independent parties; `reported` was seen
by users in public; `inferred` is reasoning. Only the first two may carry a MUST.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Evidence(Enum):
    DOCUMENTED = "documented"
    REPRODUCED = "reproduced"
    REPORTED = "reported"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One citation. `str()` gives the row and the evidence, `url` the public page."""

    row: str
    url: str
    evidence: Evidence

    def __str__(self) -> str:
        return f"{self.row} ({self.evidence.value})"


_CODE = "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"
_MONITORING = "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-monitoring.html"
_SERVERLESS = "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html"
_INVOKE = "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html"
_TROUBLE = (
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-troubleshooting.html"
)
_ISSUES = "https://github.com/{}/issues/{}"
_SERVERLESS_CONFIG = (
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/"
    "API_ProductionVariantServerlessConfig.html"
)
_DESCRIBE = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"
_REFERENCE = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_{}.html"
_VARIANT_STATUS = _REFERENCE.format("ProductionVariantStatus")
_WAITER = "https://docs.aws.amazon.com/cli/latest/reference/sagemaker/wait/endpoint-in-service.html"
_CREATE_MODEL = _REFERENCE.format("CreateModel")
_CREATE_CONFIGURATION = _REFERENCE.format("CreateEndpointConfig")
_CREATE_ENDPOINT = _REFERENCE.format("CreateEndpoint")
_UPDATE_CAPACITIES = _REFERENCE.format("UpdateEndpointWeightsAndCapacities")
_MULTI_MODEL = "https://docs.aws.amazon.com/sagemaker/latest/dg/{}.html"
_IAM_ROLE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"
_DEPLOYMENT = _REFERENCE.format("RollingUpdatePolicy")
_LAMBDA_CONCURRENCY = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"
_LAMBDA_RUNTIME = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"
_CONTAINER = (
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html"
)
_RUNTIME = (
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"
)
_DEPLOY_TROUBLE = (
    "https://docs.aws.amazon.com/sagemaker/latest/dg/model-deploy-troubleshooting.html"
)
_GRAVITON = "https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-graviton.html"
_LOGS = "https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"
_FAQ = "https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html"

_D, _M, _R, _I = (
    Evidence.DOCUMENTED,
    Evidence.REPRODUCED,
    Evidence.REPORTED,
    Evidence.INFERRED,
)


def _issue(repository: str, number: int) -> str:
    return _ISSUES.format(repository, number)


_CONTRACT: dict[str, tuple[str, Evidence]] = {
    "1.1": (_CODE, _D),  # docker run IMAGE serve
    "1.2": (_issue("aws/sagemaker-python-sdk", 4615), _M),  # the "cannot start" texts
    "1.3": (_CODE, _D),  # exec-form ENTRYPOINT
    "1.4": (_CODE, _D),  # SIGTERM, SIGKILL after 30 s
    "1.6": (_CODE, _D),  # 0.0.0.0:8080, /ping, /invocations
    "1.7": (_CODE, _D),  # accept within 250 ms
    "1.8": (_CODE, _D),  # model.tar.gz under /opt/ml/model
    "1.9": (_CODE, _D),  # read-only /opt/ml/model
    "1.11": (_issue("philschmid/llm-sagemaker-sample", 2), _R),  # ModelDataUrl is looked up
    "1.12": (_DEPLOY_TROUBLE, _D),  # no symbolic links in the archive
    "1.14": (_CODE, _D),  # root is expected
    "1.15": (_issue("mlflow/mlflow", 5544), _R),  # not root on serverless
    "1.16": (_issue("autogluon/autogluon-cloud", 242), _R),  # read-only root on serverless
    "1.17": (_issue("pytorch/serve", 1028), _M),  # HOME, HOSTNAME, Host header
    "1.18": (_issue("pytorch/serve", 1028), _R),  # environment set by the platform
    "1.22": (_CONTAINER, _D),  # Environment: entries, lengths
    "1.23": (_MULTI_MODEL.format("build-multi-model-build-container"), _D),  # labels
    "1.26": (_issue("aws/sagemaker-python-sdk", 2801), _R),  # 64 MB of /dev/shm on instances
    "1.29": (_LOGS, _D),  # log group and stream
    "2.1": (_CODE, _D),  # GET /ping
    "2.2": (_CODE, _D),  # 200, body ignored
    "2.3": (_CODE, _D),  # 2 s for a ping
    "2.4": (_issue("aws/sagemaker-inference-toolkit", 70), _R),  # every 5 s on instances
    "2.5": (_issue("aws/amazon-sagemaker-examples", 2028), _M),  # client headers
    "2.7": (_CODE, _D),  # 8 minutes on instances
    "2.9": (_INVOKE, _D),  # 3 minutes on serverless
    "2.10": (_CODE, _R),  # an unhealthy instance is replaced; after how many pings is not told
    "2.11": (_CODE, _D),  # not 200 before the model is ready
    "3.3": (_RUNTIME, _D),  # headers of a request, and their lengths
    "3.5": (_CODE, _D),  # POST /invocations, body unchanged
    "3.9": (_RUNTIME, _D),  # only 2xx is success
    "3.10": (_FAQ, _D),  # 25 MB on instances
    "3.11": (_INVOKE, _D),  # 4 MB on serverless
    "3.12": (_FAQ, _D),  # asynchronous endpoints and batch transform
    "3.13": (_CODE, _D),  # 60 s for an invocation
    "3.14": (_CODE, _D),  # 8 minutes for a response stream
    "3.15": (_INVOKE, _D),  # a cold start's caller waits up to 4 minutes
    "3.20": (_RUNTIME, _D),  # ModelError and its fields
    "3.24": (_issue("aws/sagemaker-python-sdk", 4395), _M),  # error body that broke off
    "3.25": (_issue("pytorch/serve", 631), _M),  # words of the timeout
    "3.26": (_issue("aws/amazon-sagemaker-examples", 2815), _M),  # words of no answer
    "3.28": (_issue("opensearch-project/ml-commons", 2429), _M),  # ThrottlingException, no message
    "3.32": (_issue("aws/amazon-sagemaker-examples", 293), _M),  # endpoint not found
    "3.34": (_issue("aws/sagemaker-python-sdk", 4271), _R),  # oversize on serverless
    "3.35": (_issue("aws/sagemaker-python-sdk", 171), _R),  # oversize on instances
    "3.41": (_RUNTIME, _D),  # Message has at most 2048 characters
    "4.1": (_SERVERLESS, _D),  # memory sizes
    "4.2": (_SERVERLESS_CONFIG, _D),  # MaxConcurrency 1 to 200
    "4.3": (_SERVERLESS_CONFIG, _D),  # ProvisionedConcurrency
    "4.4": (_SERVERLESS, _D),  # concurrency of an account
    "4.5": (_SERVERLESS, _D),  # endpoints of an account
    "4.7": (_SERVERLESS, _D),  # 5 GB of disk
    "4.8": (_SERVERLESS, _D),  # 10 GB image
    "4.9": (_LAMBDA, _I),  # CPU share, by analogy with Lambda
    "4.13": (_CONTAINER, _D),  # no ModelDataSource on serverless
    "4.14": (_SERVERLESS, _D),  # what serverless does not support
    "4.15": (_issue("aws/aws-cdk", 35557), _R),  # serverless or instances
    "4.16": (_SERVERLESS, _D),  # no way from instances to serverless
    "4.19": (_UPDATE_CAPACITIES, _D),  # concurrency changed in place
    "4.20": (_INVOKE, _D),  # 180 s
    "4.25": (_issue("aws/sagemaker-python-sdk", 3446), _R),  # idle time to scale-in
    "4.30": (_MONITORING, _D),  # Invocations
    "4.31": (_MONITORING, _D),  # Invocation4XXErrors
    "4.32": (_MONITORING, _D),  # Invocation5XXErrors
    "4.34": (_MONITORING, _D),  # ModelLatency
    "4.35": (_MONITORING, _D),  # OverheadLatency
    "4.36": (_MONITORING, _D),  # ModelSetupTime
    "4.37": (_MONITORING, _D),  # MemoryUtilization
    "4.38": (_MONITORING, _D),  # concurrency over its limit
    "4.39": (_MONITORING, _D),  # provisioned, executing
    "4.40": (_MONITORING, _D),  # provisioned, share
    "4.41": (_MONITORING, _D),  # provisioned, invocations
    "4.42": (_MONITORING, _D),  # spillover
    "4.50": (_TROUBLE, _D),  # the first environment is pinged while Creating
    "4.52": (_SERVERLESS, _D),  # when a new environment is started
    "4.53": (_LAMBDA_CONCURRENCY, _I),  # one request per environment
    "4.55": (_INVOKE, _I),  # a start that fails after InService
    "4.57": (_SERVERLESS, _I),  # an update's new pool, and how the old one drains
    "4.58": (_LAMBDA_RUNTIME, _I),  # frozen between requests, memory and /tmp persist
    "5.1": (_issue("aws/amazon-sagemaker-feedback", 180), _M),  # schema 2 manifests only
    "5.6": (_issue("aws/sagemaker-pytorch-inference-toolkit", 7), _R),  # region of an image
    "5.7": (_issue("aws/sagemaker-python-sdk", 4700), _R),  # images from elsewhere
    "5.8": (_issue("aws-samples/easy-amazon-sagemaker-deployments", 4), _R),  # image missing
    "5.9": (_GRAVITON, _D),  # amd64 unless Graviton
    "6.3": (_CREATE_MODEL, _D),  # members of CreateModel
    "6.6": (_CREATE_CONFIGURATION, _D),  # members of CreateEndpointConfig
    "6.8": (_CREATE_ENDPOINT, _D),  # names whatever their case
    "6.9": (_issue("awsdocs/aws-cloudformation-user-guide", 927), _R),  # a stack's next version
    "6.10": (_DESCRIBE, _D),  # members of its answer
    "6.11": (_VARIANT_STATUS, _D),  # VariantStatus
    "6.13": (_DESCRIBE, _D),  # times on the wire
    "6.20": (_DESCRIBE, _D),  # EndpointStatus
    "6.21": (_DESCRIBE, _D),  # InService
    "6.22": (_DESCRIBE, _D),  # Updating
    "6.24": (_DESCRIBE, _D),  # RollingBack
    "6.27": (_DESCRIBE, _D),  # Failed
    "6.28": (_REFERENCE.format("DeleteEndpoint"), _D),  # neither configuration nor model
    "6.30": (_WAITER, _D),  # endpoint_in_service
    "6.46": (_issue("aws/amazon-sagemaker-examples", 2402), _R),  # no endpoint
    "6.47": (_issue("hashicorp/terraform-provider-aws", 40048), _R),  # no configuration
    "6.48": (_issue("aws/sagemaker-python-sdk", 2112), _R),  # no model
    "6.49": (_issue("aws/sagemaker-python-sdk", 101), _R),  # exists already
    "6.50": (_issue("aws/amazon-sagemaker-examples", 3188), _R),  # in progress
    "6.51": (_DEPLOYMENT, _I),  # rolling update of one instance
    "6.52": (_IAM_ROLE, _I),  # role of another account
    "7.1": (_MULTI_MODEL.format("mms-container-apis"), _D),  # load a model: 409, 507
    "7.2": (_MULTI_MODEL.format("mms-container-apis"), _D),  # list, get, unload: 404
    "7.3": (_MULTI_MODEL.format("mms-container-apis"), _D),  # invoke a model
    "7.4": (_MULTI_MODEL.format("invoke-multi-model-endpoint"), _D),  # 60 s, then up to 360 s
    "7.5": (_MULTI_MODEL.format("build-multi-model-build-container"), _D),  # label, variable
    "7.6": (_MULTI_MODEL.format("multi-container-troubleshooting"), _D),  # the port to bind
}

_FAILURES: dict[str, tuple[str, Evidence]] = {
    "3.3": (_issue("aws/amazon-sagemaker-examples", 3148), _M),  # workers killed for memory
    "3.4": (_issue("aws/deep-learning-containers", 2917), _R),  # healthy before ready
    "3.5": (_issue("mlflow/mlflow", 726), _R),  # sockets and pid files of the server
    "3.7": (_issue("aws/amazon-sagemaker-examples", 628), _M),  # serve not found
    "3.8": (_issue("aws/deep-learning-containers", 569), _R),  # layout of the archive
    "3.9": (_issue("aws/amazon-sagemaker-examples", 729), _R),  # Content-Type and Accept
    "3.10": (_issue("aws-samples/amazon-sagemaker-custom-container", 3), _M),  # architecture
    "3.11": (_TROUBLE, _D),  # write permissions on serverless
    "3.12": (_issue("aws/sagemaker-tensorflow-serving-container", 130), _R),  # downloads at start
    "3.16": (_issue("aws/sagemaker-tensorflow-training-toolkit", 154), _R),  # dead backend
    "3.18": (_issue("aws/sagemaker-python-sdk", 4615), _R),  # a training image is deployed
    "3.19": (_issue("facebookresearch/dynabench", 407), _R),  # the network at request time
    "3.20": (_issue("aws/amazon-sagemaker-examples", 319), _R),  # logs missing
    "3.21": (_CODE, _D),  # no NVIDIA driver in the image
    "3.22": (_issue("aws/amazon-sagemaker-examples", 571), _M),  # carriage returns
    "3.23": (_issue("aws/amazon-sagemaker-examples", 923), _R),  # /ping starved
    "3.26": (_issue("aws/sagemaker-tensorflow-training-toolkit", 82), _R),  # memory grows
    "3.27": (_issue("awslabs/realtime-fraud-detection-with-gnn-on-dgl", 1331), _R),  # error bodies
    "3.29": (_issue("aws/amazon-sagemaker-examples", 923), _R),  # several at once
    "3.30": (_issue("joblib/loky", 42), _I),  # /dev/shm
    "3.31": (_issue("aws/sagemaker-python-sdk", 2574), _R),  # gunicorn's 30 s
    "3.32": (_issue("aws/sagemaker-python-sdk", 2686), _R),  # NaN
    "3.35": (_issue("david-cortes/cmfrec", 37), _R),  # fork and OpenMP
    "3.36": (_CODE, _D),  # signals
}


def contract(row: str) -> Source:
    """A row of what SageMaker does. Raises KeyError for a row that is not in the table."""
    url, evidence = _CONTRACT[row]
    return Source(row=f"contract {row}", url=url, evidence=evidence)


def failures(row: str) -> Source:
    """A row of what goes wrong for people. Raises KeyError for an unknown row."""
    url, evidence = _FAILURES[row]
    return Source(row=f"failures {row}", url=url, evidence=evidence)
