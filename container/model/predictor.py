"""The two routes that SageMaker asks for: GET /ping and POST /invocations.

application/json  {"instances": [[5.1, 3.5, 1.4, 0.2]]}  ->  {"predictions": [{"label": ...}]}
text/csv          5.1,3.5,1.4,0.2                        ->  setosa,0.97,0.03,0.00
"""

import csv
import io
import json
import math
import sys
from pathlib import Path

from flask import Flask, Response, request

# SageMaker unpacks model.tar.gz here, read-only; without one, the image's own model serves.
MODEL_FILES = [Path("/opt/ml/model/model.json"), Path(__file__).with_name("model.json")]
JSON, CSV = "application/json", "text/csv"


class Model:
    """Softmax regression; the parameters come from train.py."""

    def __init__(self, parameters):
        self.labels = parameters["labels"]
        self.mean, self.scale = parameters["mean"], parameters["scale"]
        self.weights = parameters["weights"]
        self.width = len(self.mean)

    def probabilities(self, row):
        x = [1.0, *((v - m) / s for v, m, s in zip(row, self.mean, self.scale))]
        scores = [sum(w * v for w, v in zip(weights, x)) for weights in self.weights]
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        total = sum(powers)
        return [power / total for power in powers]


def load():
    path = next(path for path in MODEL_FILES if path.is_file())
    return Model(json.loads(path.read_text()))


class Refused(Exception):
    """The caller's mistake, answered with a 4xx and one line of text."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def rows_of(body, content_type):
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the body is not UTF-8") from None
    if content_type == JSON:
        rows = rows_of_json(text)
    elif content_type == CSV:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    else:
        raise Refused(415, f"send {JSON} or {CSV}, not {content_type}")
    if not rows:
        raise Refused(400, "the body has no rows")
    return [numbers(row) for row in rows]


def rows_of_json(text):
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    rows = found.get("instances") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise Refused(400, 'send {"instances": [[four numbers], ...]}')
    return rows


def numbers(row):
    width = model.width
    try:
        if any(isinstance(value, bool) for value in row):
            raise ValueError
        values = [float(value) for value in row]
    except (TypeError, ValueError, OverflowError):
        raise Refused(400, "every value must be a number") from None
    # Beyond this range a sum could overflow; no flower is that large.
    if len(values) != width or not all(abs(value) < 1e6 for value in values):
        raise Refused(400, f"every row must have {width} finite numbers")
    return values


def answer_type(content_type):
    """The request's own type when the caller takes it; None when it takes neither."""
    if not request.headers.get("Accept"):
        return content_type
    other = CSV if content_type == JSON else JSON
    return request.accept_mimetypes.best_match([content_type, other])


def encode(kind, results):
    if kind == CSV:
        lines = [f"{label},{','.join(f'{p:.4f}' for p in chances)}" for label, chances in results]
        return "\n".join(lines) + "\n"
    predictions = [
        {"label": label, "probabilities": dict(zip(model.labels, chances))}
        for label, chances in results
    ]
    return json.dumps({"predictions": predictions}, allow_nan=False) + "\n"


app = Flask(__name__)

try:
    model = load()
except Exception as error:  # the server stays up and says on /ping that it is not ready
    model = None
    print(f"the model cannot be loaded: {error!r}", file=sys.stderr)


@app.get("/ping")
def ping():
    """200 only when the model is there: SageMaker sends requests from the first 200 on."""
    return Response(status=200 if model is not None else 503)


@app.post("/invocations")
def invocations():
    if model is None:
        return Response("the model is not loaded\n", status=503, mimetype="text/plain")
    try:
        content_type = request.mimetype or JSON
        rows = rows_of(request.get_data(), content_type)
        kind = answer_type(content_type)
        if kind is None:
            raise Refused(406, f"this model answers {JSON} or {CSV}")
    except Refused as refused:
        log(refused.status, str(refused))
        return Response(f"{refused}\n", status=refused.status, mimetype="text/plain")
    results = []
    for row in rows:
        chances = model.probabilities(row)
        results.append((model.labels[chances.index(max(chances))], chances))
    log(200, f"{len(rows)} rows")
    return Response(encode(kind, results), mimetype=kind)


def log(status, text):
    print(f"POST /invocations {status} {text}", file=sys.stderr, flush=True)
