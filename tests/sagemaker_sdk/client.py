"""What a user of the SageMaker Python SDK writes, told nothing of where it goes.

    client.py IMAGE ROLE NAME

Prints what the endpoint answers, as JSON.
"""

import json
import sys

from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer, JSONSerializer
from sagemaker.serverless import ServerlessInferenceConfig

image, role, name = sys.argv[1:]
rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]

model = Model(image_uri=image, role=role, name=f"{name}-model", predictor_cls=Predictor)
predictor = model.deploy(
    endpoint_name=name,
    serverless_inference_config=ServerlessInferenceConfig(
        memory_size_in_mb=3072, max_concurrency=2
    ),
    serializer=JSONSerializer(),
    deserializer=JSONDeserializer(),
)
answers = {"deployed": predictor.predict({"instances": rows})}

found = Predictor(name, serializer=CSVSerializer())
answers["found"] = found.predict(rows).decode()
try:
    found.predict([["no", "numbers"]])
except found.sagemaker_session.sagemaker_runtime_client.exceptions.ModelError as error:
    answers["refused"] = error.response["OriginalStatusCode"]

predictor.delete_model()
predictor.delete_endpoint()
print()
print(json.dumps(answers))
