"""A template as moto reads it, asked resource by resource.

Owns: moto's functions of a template (`Ref`, `Fn::*`, conditions, parameters, outputs) without its
habit of making whatever a function asks for. Must not know: how resources are made, statuses.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Mapping
from typing import Any

from emulator.api.stacks import texts
from emulator.api.stacks.graph import after
from emulator.api.stacks.resource import Failed, Resource, Wanted
from emulator.api.stacks.rules import Refused, check_parameters, check_template, resources
from emulator.control.rule import arn
from emulator.control.template_text import parse
from emulator.errors import Usage

BOOTSTRAP = re.compile(r"/cdk-bootstrap/[a-z0-9]+/version")
BOOTSTRAP_VERSION = "30"
"""What a template of CDK v2 finds where nobody ran `cdk bootstrap`; it wants 6 or more. The CDK's
own command asks the parameter store, and is told that there is none.
https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
"""


def read(text: str) -> dict[str, Any]:
    """A template's text, JSON or YAML with short tags. Raises Refused."""
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        found = None
    try:
        body = found if isinstance(found, dict) else dict(parse(text).body)
    except Usage as error:
        raise Refused(f"Template format error: {error}") from error
    whole: dict[str, Any] = _split_attributes(body)
    return whole


def _split_attributes(value: Any) -> Any:
    """`Fn::GetAtt: a.b`, which YAML may say, as the list that moto knows."""
    if isinstance(value, list):
        return [_split_attributes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: item.split(".", 1)
        if name == "Fn::GetAtt" and isinstance(item, str)
        else _split_attributes(item)
        for name, item in value.items()
    }


def resource_map(stack: Any) -> Any:
    """Moto's map of a stack's resources, loaded. Raises Refused, and moto's errors."""
    made = _map_class()(
        stack.stack_id,
        stack.name,
        stack.parameters,
        stack.tags,
        account_id=stack.account_id,
        region_name=stack.region_name,
        template=copy.deepcopy(stack.template_dict),
        cross_stack_resources=stack.cross_stack_resources,
    )
    made.load()
    return made


@functools.cache
def _map_class() -> Any:
    from moto.cloudformation.parsing import ResourceMap
    from moto.ssm.models import ssm_backends

    class Resources(ResourceMap):
        """What is not made has no value; moto's own map would make it now."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            template = self._template
            region = self._region_name
            partition = arn("Model", "x", region, self._account_id).split(":")[1]
            self._parsed_resources |= {
                "AWS::Partition": partition,
                "AWS::URLSuffix": f"amazonaws.com{'.cn' if partition == 'aws-cn' else ''}",
                "AWS::NotificationARNs": [],
            }
            if template:
                check_template(template)
                check_parameters(template, self.input_parameters)

        def __getitem__(self, key: str) -> Any:
            if key in self._parsed_resources:
                return self._parsed_resources[key]
            if key not in self._resource_json_map:
                raise KeyError(key)
            return None

        def put(self, key: str, value: Any) -> None:
            self._parsed_resources[key] = value

        def parse_ssm_parameter(self, value: str, value_type: str) -> str:
            backend = ssm_backends[self._account_id][self._region_name]
            if backend.get_parameter(value) is not None:
                found: str = super().parse_ssm_parameter(value, value_type)
                return found
            if BOOTSTRAP.fullmatch(value):
                return BOOTSTRAP_VERSION
            raise Refused(texts.NO_PARAMETER.format(name=value))

    return Resources


class MotoTemplate:
    """A stack's template with its parameters."""

    def __init__(self, stack: Any) -> None:
        self._stack = stack
        self._map = stack.resource_map
        self._written = resources(stack.template_dict)
        holds = self._map.lazy_condition_map
        made = {
            name: body
            for name, body in self._written.items()
            if "Condition" not in body or holds[body["Condition"]]
        }
        self._after = after(made)

    @property
    def after(self) -> Mapping[str, frozenset[str]]:
        return self._after

    def declared(self, logical: str) -> Wanted:
        body = self._written[logical]
        return Wanted(logical=logical, kind=str(body.get("Type")), declared=body, properties={})

    def wanted(self, logical: str) -> Wanted:
        written = self.declared(logical)
        properties = self._value(written.declared.get("Properties") or {})
        return Wanted(
            logical=logical, kind=written.kind, declared=written.declared, properties=properties
        )

    def has(self, resource: Resource) -> None:
        assert resource.made is not None, "it was made"
        self._map.put(resource.logical, resource.made.value)

    def finish(self) -> None:
        """The stack's outputs and exports, kept with it."""
        from moto.cloudformation.parsing import Export

        outputs, exports = [], []
        for key, body in (self._stack.template_dict.get("Outputs") or {}).items():
            if "Condition" in body and not self._map.lazy_condition_map[body["Condition"]]:
                continue
            shown = {"OutputKey": key, "OutputValue": _text(self._value(body.get("Value")))}
            if "Description" in body:
                shown["Description"] = body["Description"]
            if "Export" in body:
                shown["ExportName"] = _text(self._value(body["Export"].get("Name")))
                exports.append(
                    Export(self._stack.stack_id, shown["ExportName"], shown["OutputValue"])
                )
            outputs.append(shown)
        for export in exports:
            other = self._stack.cross_stack_resources.get(export.name)
            if other is not None and other.exporting_stack_id != self._stack.stack_id:
                owner = other.exporting_stack_id.split("/")[1]
                raise Failed(texts.EXPORTED.format(name=export.name, stack=owner))
        self._stack.byoc.outputs, self._stack.byoc.exports = outputs, exports

    def _value(self, written: Any) -> Any:
        from moto.cloudformation.parsing import clean_json

        try:
            value = without_nothing(clean_json(written, self._map))
        except Failed:
            raise
        except Exception as error:  # whatever moto's function makes of a strange template
            raise Failed(str(getattr(error, "message", None) or repr(error))) from error
        if function := _left_over(value):
            raise Failed(texts.NO_VALUE.format(function=function))
        return value


def without_nothing(value: Any) -> Any:
    """`AWS::NoValue` leaves no trace."""
    if isinstance(value, dict):
        return {name: without_nothing(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nothing(item) for item in value if item is not None]
    return value


def _left_over(value: Any) -> str:
    """A function for which moto found no value."""
    if isinstance(value, dict):
        if "Fn::GetAtt" in value:
            return f"Fn::GetAtt {value['Fn::GetAtt']}"
        return next((found for item in value.values() if (found := _left_over(item))), "")
    if isinstance(value, list):
        return next((found for item in value if (found := _left_over(item))), "")
    return ""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
