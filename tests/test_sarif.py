"""Owns: the claims of the SARIF form: it has what GitHub's code scanning needs, and says what the
JSON form says.
"""

from __future__ import annotations

from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.sarif import log, user_dockerfile
from tests.test_report import RESULT, report, results

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
RULE = {
    "type": "object",
    "required": ["id", "shortDescription", "fullDescription", "help", "helpUri"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 255},
        "name": {"type": "string", "maxLength": 255},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": TEXT,
        "helpUri": {"type": "string", "pattern": "^https?://"},
        "defaultConfiguration": {"properties": {"level": LEVEL}},
        "properties": {
            "required": ["tags"],
            "properties": {
                "tags": {"type": "array", "uniqueItems": True, "maxItems": 20},
                "precision": {"enum": ["very-high", "high", "medium", "low"]},
            },
        },
    },
}
PLACE = {
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "required": ["artifactLocation", "region"],
            "properties": {
                "artifactLocation": {
                    "required": ["uri"],
                    "properties": {"uri": {"pattern": r"^[A-Za-z0-9._~%/-]+$"}},
                },
                "region": {
                    "required": ["startLine"],
                    "properties": {"startLine": {"type": "integer", "minimum": 1}},
                },
            },
        }
    },
}
FINDING = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"],
    "properties": {
        "level": LEVEL,
        "message": TEXT,
        "locations": {"type": "array", "minItems": 1, "maxItems": 10, "items": PLACE},
        "partialFingerprints": {"required": ["primaryLocationLineHash"]},
    },
}
GITHUB_NEEDS = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "required": ["tool", "results", "automationDetails"],
                "properties": {
                    "tool": {
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {"rules": {"items": RULE}},
                            }
                        }
                    },
                    "results": {"type": "array", "items": FINDING},
                },
            },
        },
    },
}
"""https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support"""


def run_of(*checks, dockerfile="", **changes):
    (run,) = log([report(*checks, **changes).to_json()], dockerfile)["runs"]
    return run


@given(results(actual=st.text(), fix=st.text(), reason=st.text(), link=st.text()))
def test_whatever_was_found_has_the_structure_that_code_scanning_needs(checks):
    made = log([report(*checks).to_json()], "")
    jsonschema.Draft202012Validator(GITHUB_NEEDS).validate(made)
    (run,) = made["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [check.id for check in checks]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


@given(results())
def test_only_what_speaks_against_the_image_is_an_alert(checks):
    run = run_of(*checks)
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    wanted = {"fail": "error", "warn": "warning"}
    assert levels == {c.id: wanted[c.verdict] for c in checks if c.verdict in wanted}
    (invocation,) = run["invocations"]
    told = {one["descriptor"]["id"] for one in invocation["toolExecutionNotifications"]}
    assert told == {c.id for c in checks if c.verdict in {"error", "skip", "blocked"}}
    assert invocation["executionSuccessful"] == all(c.verdict != "error" for c in checks)


def test_an_alert_tells_expected_actual_and_fix_and_where_the_clause_is():
    run = run_of(RESULT)
    (result,), (rule,) = run["results"], run["tool"]["driver"]["rules"]
    for words in (RESULT.clause, RESULT.expected, RESULT.actual, RESULT.fix, RESULT.aws_shows):
        assert words in result["message"]["text"]
    assert (rule["id"], rule["helpUri"]) == (RESULT.id, RESULT.link)
    assert rule["defaultConfiguration"] == {"level": "error"}


def place(run):
    (result,) = run["results"]
    return result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


@pytest.mark.parametrize(
    ("image", "uri"),
    [
        ("x:1", "x"),
        ("localhost:5000/team/x:1", "localhost%3A5000/team/x"),
        ("a/b@sha256:12", "a/b"),
        ("a/b", "a/b"),
    ],
)
def test_without_a_dockerfile_the_place_is_the_images_repository(image, uri):
    made = report(RESULT).to_json()
    made["image"] = {**made["image"], "reference": image}
    (run,) = log([made])["runs"]
    assert place(run) == uri
    (result,) = run["results"]
    (logical,) = result["locations"][0]["logicalLocations"]
    assert logical["fullyQualifiedName"] == image


def test_the_users_dockerfile_is_the_place_as_the_repository_names_it(tmp_path):
    inner = tmp_path / "my model"
    inner.mkdir()
    assert user_dockerfile(inner, {}) == ""
    (inner / "Dockerfile").write_text("FROM scratch\n")
    assert user_dockerfile(inner, {}) == "Dockerfile"
    assert user_dockerfile(inner, {"GITHUB_WORKSPACE": str(tmp_path / "other")}) == "Dockerfile"
    found = user_dockerfile(inner, {"GITHUB_WORKSPACE": str(tmp_path)})
    assert found == "my model/Dockerfile"
    assert place(run_of(RESULT, dockerfile=found)) == "my%20model/Dockerfile"


def marks(image, *checks):
    made = report(*checks).to_json()
    made["image"] = {**made["image"], "reference": image}
    (run,) = log([made])["runs"]
    return [r["partialFingerprints"]["primaryLocationLineHash"] for r in run["results"]]


def test_an_alert_stays_the_same_over_builds_and_differs_by_image_and_check():
    other = replace(RESULT, id="other")
    assert marks("x:1", RESULT) == marks("x:2", replace(RESULT, actual="something else"))
    assert len({*marks("x:1", RESULT, other), *marks("y:1", RESULT)}) == 3


def test_several_images_have_a_run_and_a_category_each():
    second = report(RESULT).to_json()
    second["image"] = {**second["image"], "reference": "y:1"}
    runs = log([report(RESULT).to_json(), second])["runs"]
    assert len({run["automationDetails"]["id"] for run in runs}) == 2
