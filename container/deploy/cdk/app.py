#!/usr/bin/env python3
"""A stack for each model of the table `models` in cdk.json, or of another one:

cdk deploy --all --context models="$(cat models.json)"
"""

import json

import aws_cdk as cdk
from model_endpoint import Model, ModelEndpoint

app = cdk.App()
models = app.node.get_context("models")
if isinstance(models, str):  # from the command line, where every value is text
    models = json.loads(models)
for row in models:
    model = Model(**row)
    ModelEndpoint(app, f"{model.name}-endpoint", model)
app.synth()
