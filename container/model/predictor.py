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
from werkzeug.exceptions import HTTPException

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
    loaded = Model(json.loads(path.read_text()))
    loaded.probabilities(loaded.mean)  # a file that cannot predict must fail now, not later
    return loaded


class Refused(Exception):
    """Why there is no prediction: an HTTP status, and one line of text for the caller."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def rows_of(body, content_type):
    """The request's rows, each as many finite numbers as the model takes."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(400, "the body is not UTF-8") from None
    if content_type == JSON:
        rows = rows_of_json(text)
    elif content_type == CSV:
        rows = rows_of_csv(text)
    else:
        raise Refused(415, f"send {JSON} or {CSV}, not {content_type}")
    if not rows:
        raise Refused(400, "the body has no rows")
    for row in rows:
        # Beyond this range a sum could overflow; no flower is that large.
        if len(row) != model.width or not all(abs(value) < 1e6 for value in row):
            raise Refused(400, f"every row must have {model.width} finite numbers")
    return rows


def rows_of_json(text):
    try:
        found = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    rows = found.get("instances") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise Refused(400, 'send {"instances": [[four numbers], ...]}')
    if not all(type(value) in (int, float) for row in rows for value in row):  # a bool is an int
        raise Refused(400, "every value must be a number")
    return rows


def no_constant(name):
    """Python would read NaN and Infinity, which are not JSON."""
    raise ValueError(name)


def rows_of_csv(text):
    try:
        return [[float(value) for value in row] for row in csv.reader(io.StringIO(text)) if row]
    except (ValueError, csv.Error):
        raise Refused(400, "send lines of numbers with commas between them") from None


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
    print(f"the model cannot be loaded: {error!r}", file=sys.stderr, flush=True)


@app.get("/ping")
def ping():
    """200 only when the model is there: SageMaker sends requests from the first 200 on."""
    return Response(status=200 if model is not None else 503)


@app.post("/invocations")
def invocations():
    try:
        if model is None:
            raise Refused(503, "the model is not loaded")
        content_type = request.mimetype or JSON
        rows = rows_of(request.get_data(), content_type)
        kind = answer_type(content_type)
        if kind is None:
            raise Refused(406, f"this model answers {JSON} or {CSV}")
    except Refused as refused:
        log(refused.status, refused)
        return plain(refused.status, refused)
    results = []
    for row in rows:
        chances = model.probabilities(row)
        results.append((model.labels[chances.index(max(chances))], chances))
    log(200, f"{len(rows)} rows")
    return Response(encode(kind, results), mimetype=kind)


@app.errorhandler(HTTPException)
def http_error(error):
    """Flask's pages are HTML, and the caller is a program."""
    return plain(error.code, error.name)


def plain(status, text):
    return Response(f"{text}\n", status=status, mimetype="text/plain")


def log(status, text):
    sys.stderr.write(f"POST /invocations {status} {text}\n")  # one call: threads share the stream
