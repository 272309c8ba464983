"""One model behind one SageMaker serverless endpoint, as a CloudFormation stack.

Model and endpoint configuration have no names of their own: AWS lets nobody change them, so
CloudFormation makes new ones, which it could not do under the same name. The endpoint keeps its
name, and is updated in place: the old configuration serves until the new one does.
"""

from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class Model:
    """A row of `models` in cdk.json. `name` is the endpoint's."""

    name: str
    repository: str
    tag: str
    memory: int = 2048
    max_concurrency: int = 5
    provisioned_concurrency: int | None = None
    model_data_url: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model_data_url and not self.model_data_url.startswith("s3://"):
            raise ValueError(f"{self.name}: model_data_url is {self.model_data_url}, not s3://...")


class ModelEndpoint(cdk.Stack):
    def __init__(self, scope: Construct, identity: str, model: Model, **options) -> None:
        # Without its rule on the bootstrap's version the template is plain CloudFormation, which
        # `aws cloudformation deploy` takes as well.
        synthesizer = cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
        super().__init__(scope, identity, synthesizer=synthesizer, **options)
        self.row = model
        self.repository = ecr.Repository.from_repository_name(self, "Repository", model.repository)
        self.image = self.repository.repository_uri_for_tag(model.tag)
        self.log_group = f"/aws/sagemaker/Endpoints/{model.name}"

        role = self.execution_role()
        created = self.model(role)
        configuration = self.endpoint_configuration(created)
        endpoint = self.endpoint(configuration)

        # Explicit, though references imply it: nothing may be there before what it is made of.
        created.node.add_dependency(role)
        configuration.node.add_dependency(created)
        endpoint.node.add_dependency(configuration)

        cdk.Tags.of(self).add("model", model.name)
        cdk.CfnOutput(self, "EndpointName", value=endpoint.attr_endpoint_name)
        cdk.CfnOutput(self, "Image", value=self.image)
        cdk.CfnOutput(self, "LogGroup", value=self.log_group)

    def model(self, role: iam.Role) -> sagemaker.CfnModel:
        return sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=self.image,
                model_data_url=self.row.model_data_url,
                environment=self.row.environment or None,
            ),
        )

    def endpoint_configuration(self, model: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig:
        return sagemaker.CfnEndpointConfig(
            self,
            "EndpointConfig",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name="AllTraffic",
                    model_name=model.attr_model_name,
                    initial_variant_weight=1.0,
                    serverless_config=sagemaker.CfnEndpointConfig.ServerlessConfigProperty(
                        memory_size_in_mb=self.row.memory,
                        max_concurrency=self.row.max_concurrency,
                        provisioned_concurrency=self.row.provisioned_concurrency,
                    ),
                )
            ],
        )

    def endpoint(self, configuration: sagemaker.CfnEndpointConfig) -> sagemaker.CfnEndpoint:
        return sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.row.name,
            endpoint_config_name=configuration.attr_endpoint_config_name,
        )

    def execution_role(self) -> iam.Role:
        """What SageMaker needs to run this container, and no more: the container has it too.

        The statements are AWS's own list for CreateModel, narrowed to what this model owns:
        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
        They are part of the role: a policy of its own could come after the model, which needs it.
        """
        logs = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:{self.log_group}"
        statements = {
            "PullImage": [
                allow("*", "ecr:GetAuthorizationToken"),  # knows no narrower resource
                allow(
                    self.repository.repository_arn,
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                ),
            ],
            "WriteLogs": [
                allow(logs, "logs:CreateLogGroup"),
                allow(
                    f"{logs}:*",
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ),
            ],
            "WriteMetrics": [
                allow(
                    "*",
                    "cloudwatch:PutMetricData",
                    StringLike={"cloudwatch:namespace": "/aws/sagemaker/Endpoints*"},
                )
            ],
        }
        if self.row.model_data_url:
            path = self.row.model_data_url.removeprefix("s3://")
            statements["ReadModelData"] = [
                allow(f"arn:{self.partition}:s3:::{path}", "s3:GetObject")
            ]
        return iam.Role(
            self,
            "ExecutionRole",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            inline_policies={
                name: iam.PolicyDocument(statements=of_name) for name, of_name in statements.items()
            },
        )


def allow(resource: str, *actions: str, **conditions: dict[str, str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=list(actions), resources=[resource], conditions=conditions or None
    )
