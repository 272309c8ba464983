"""Trains the model: softmax regression on Fisher's iris data, in plain Python.

Run when the image is built. The same data gives the same model.

    python3 train.py model.json
"""

import csv
import json
import math
import sys
from pathlib import Path

STEPS, RATE = 400, 0.5
FEATURES = ["sepal length", "sepal width", "petal length", "petal width"]


def read(path):
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    labels = head[2:]
    return labels, [[float(x) for x in row[:4]] for row in rows], [int(row[4]) for row in rows]


def softmax(scores):
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def train(data, classes):
    """Full-batch gradient descent on standardized features."""
    n, width = len(data), len(data[0])
    mean = [sum(row[j] for row in data) / n for j in range(width)]
    scale = [math.sqrt(sum((row[j] - mean[j]) ** 2 for row in data) / n) for j in range(width)]
    rows = [[1.0, *((x - m) / s for x, m, s in zip(row, mean, scale))] for row in data]
    count = max(classes) + 1
    weights = [[0.0] * (width + 1) for _ in range(count)]
    for _ in range(STEPS):
        slope = [[0.0] * (width + 1) for _ in range(count)]
        for row, wanted in zip(rows, classes):
            chances = softmax([sum(w * x for w, x in zip(ws, row)) for ws in weights])
            for k in range(count):
                error = chances[k] - (k == wanted)
                for j, x in enumerate(row):
                    slope[k][j] += error * x
        for k in range(count):
            weights[k] = [w - RATE * g / n for w, g in zip(weights[k], slope[k])]
    return {"mean": mean, "scale": scale, "weights": weights}


def main(target):
    labels, data, classes = read(Path(__file__).with_name("iris.csv"))
    model = {"labels": labels, "features": FEATURES, **train(data, classes)}
    Path(target).write_text(json.dumps(model, indent=1) + "\n")
    print(f"wrote {target}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "model.json")
