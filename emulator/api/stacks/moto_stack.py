"""moto's stacks and their backend, as this emulator's work changes them.

Owns: what takes the place of methods of moto's `Stack` and `CloudFormationBackend`, and what is
kept of a stack besides moto's own record. Must not know: requests, the order of resources.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from emulator.api.stacks import moto_resources as others
from emulator.api.stacks import texts
from emulator.api.stacks.book import Book
from emulator.api.stacks.moto_template import MotoTemplate, read, resource_map
from emulator.api.stacks.operation import DO_NOTHING, ROLLBACK, Operation
from emulator.api.stacks.resource import Handler, Resource, Where
from emulator.api.stacks.rules import Refused, check_deletable, check_types, check_updatable
from emulator.api.stacks.work import Work, Works

OF_A_TEMPLATE = (
    "template", "template_dict", "description", "parameters", "tags", "resource_map", "role_arn",
)  # fmt: skip
"""What moto keeps of a stack and a failed update gives back."""


@dataclass(slots=True, kw_only=True)
class Kept:
    """Of a stack, besides what moto keeps of it."""

    book: Book
    outputs: list[dict[str, str]] = field(default_factory=list)
    exports: list[Any] = field(default_factory=list)


@contextmanager
def as_moto() -> Iterator[None]:
    """A refusal becomes an error that moto tells in the protocol of the request."""
    from moto.cloudformation.exceptions import CloudFormationError, ValidationError

    try:
        yield
    except Refused as error:
        if error.code == "ValidationError":
            raise ValidationError(message=error.message) from error
        told = CloudFormationError(error.message)
        told.code = error.code
        raise told from error


class Teller:
    """Writes into moto's record of a stack."""

    def __init__(self, stack: Any) -> None:
        self._stack = stack

    def resource(self, resource: Resource) -> None:
        from moto.cloudformation.models import Event

        properties = resource.wanted.properties
        event = Event(
            stack_id=self._stack.stack_id,
            stack_name=self._stack.name,
            logical_resource_id=resource.logical,
            physical_resource_id=resource.physical,
            resource_type=resource.wanted.kind,
            resource_status=resource.status,
            resource_status_reason=resource.reason or None,
            resource_properties=json.dumps(properties, default=str),
        )
        resource.at = event.timestamp
        self._stack.events.append(event)

    def stack(self, status: str, reason: str = "") -> None:
        from moto.core.utils import utcnow

        self._stack.status = status
        self._stack.stack_status_reason = reason or None
        if status.startswith(("UPDATE_IN", "UPDATE_COMPLETE", "UPDATE_ROLLBACK")):
            self._stack.last_updated_time = utcnow()
        if status == "DELETE_IN_PROGRESS":
            self._stack.deletion_time = utcnow()
        self._stack._add_stack_event(  # noqa: SLF001  with it moto tells SNS, too
            status, resource_status_reason=reason or None
        )

    def gone(self) -> None:
        from moto.cloudformation.models import cloudformation_backends

        backend = cloudformation_backends[self._stack.account_id][self._stack.region_name]
        if backend.stacks.pop(self._stack.stack_id, None) is not None:
            backend.deleted_stacks[self._stack.stack_id] = self._stack
        _publish(self._stack, [])


def _publish(stack: Any, exports: list[Any]) -> None:
    """These are the stack's exports, in the place of those that it had."""
    from moto.cloudformation.models import cloudformation_backends

    known = cloudformation_backends[stack.account_id][stack.region_name].exports
    for name in [n for n, export in known.items() if export.exporting_stack_id == stack.stack_id]:
        del known[name]
    known.update({export.name: export for export in exports})


def kept(stack: Any) -> Kept:
    if not hasattr(stack, "byoc"):
        stack.byoc = Kept(book=Book(where=_where(stack), tell=Teller(stack)))
    found: Kept = stack.byoc
    return found


def _where(stack: Any) -> Where:
    return Where(
        stack=stack.name,
        stack_id=stack.stack_id,
        region=stack.region_name,
        account=stack.account_id,
        tags=dict(stack.tags or {}),
    )


class Stacks:
    """What is done with stacks, in moto's place."""

    def __init__(self, works: Works, handlers: Mapping[str, Handler]) -> None:
        self._works, self._handlers = works, handlers

    def handler(self, kind: str) -> Handler:
        return self._handlers.get(kind) or others.handler(kind)

    def create(self, stack: Any, on_failure: str = ROLLBACK) -> None:
        """Begins; the stack has its template."""
        book = kept(stack).book
        book.where = _where(stack)
        book.stack("CREATE_IN_PROGRESS", texts.INITIATED)
        stack.disable_rollback = on_failure == DO_NOTHING

        def run(operation: Operation) -> None:
            operation.create(MotoTemplate(stack), on_failure)
            _publish(stack, kept(stack).exports)

        self._begin(stack, run, "CREATE_FAILED")

    def update(self, stack: Any, new: Mapping[str, Any], on_failure: str = ROLLBACK) -> None:
        """Begins. `new` has some of OF_A_TEMPLATE. Raises Refused, and moto's errors."""
        check_updatable(stack.stack_id, stack.status)
        before = {name: getattr(stack, name) for name in OF_A_TEMPLATE}
        back = MotoTemplate(stack) if stack.template_dict else None
        try:
            self.load(stack, new)
            check_types(before["template_dict"], stack.template_dict)
        except Exception:
            _put(stack, before)
            raise
        book = kept(stack).book
        book.where = _where(stack)
        book.stack("UPDATE_IN_PROGRESS", texts.INITIATED)

        def run(operation: Operation) -> None:
            template = MotoTemplate(stack)
            if not operation.update(template, back or template, on_failure):
                _put(stack, before)
            _publish(stack, kept(stack).exports)

        self._begin(stack, run, "UPDATE_FAILED")

    def delete(self, stack: Any, retained: list[str]) -> None:
        """Begins, after what goes on is stopped. Raises Refused."""
        check_deletable(
            stack.name,
            stack.stack_id,
            stack.status,
            protected=stack.enable_termination_protection,
        )
        if stack.status in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
            return
        if (work := self._works.of(stack.stack_id)) is not None:
            work.cancel()
        book = kept(stack).book
        book.stack("DELETE_IN_PROGRESS", texts.INITIATED)
        self._begin(stack, lambda operation: operation.delete(retained), "DELETE_FAILED")

    def load(self, stack: Any, new: Mapping[str, Any]) -> None:
        """Gives the stack a template. Raises Refused, and moto's errors."""
        _put(stack, new)
        stack.template_dict = read(stack.template)
        stack.description = stack.template_dict.get("Description")
        stack.resource_map = resource_map(stack)

    def _begin(self, stack: Any, run: Callable[[Operation], None], failed: str) -> None:
        work = Work(region=stack.region_name, stack=stack.name, stack_id=stack.stack_id)
        book = kept(stack).book
        operation = Operation(book=book, handler=self.handler, cancelled=work.cancelled)

        def fault(error: Exception) -> None:
            book.stack(failed, texts.FAULT.format(what=f"the stack {stack.name}", error=error))

        self._works.begin(work, functools.partial(run, operation), fault)


def _put(stack: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(stack, name, value)
