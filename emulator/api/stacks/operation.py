"""Creating, updating and deleting a stack, and the way back.

Owns: which resource is made, changed and deleted when, and the statuses on the way. Must not know:
moto, threads, templates' functions. The statuses are those of
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from emulator.api.stacks import texts
from emulator.api.stacks.book import Book, Template
from emulator.api.stacks.graph import Settle, turned, walk
from emulator.api.stacks.resource import Change, Failed, Handler, Made, Resource

ROLLBACK, DELETE, DO_NOTHING = "ROLLBACK", "DELETE", "DO_NOTHING"
"""What may follow a failure: values of OnFailure."""


@dataclass(slots=True, kw_only=True)
class Operation:
    """One change of one stack. `cancelled` is asked before each resource that is begun."""

    book: Book
    handler: Callable[[str], Handler]
    cancelled: Callable[[], bool] = lambda: False
    _failed: dict[str, list[str]] = field(default_factory=dict)  # verb -> resources
    _trouble: str = ""
    _before: dict[str, Resource] = field(default_factory=dict)
    _changed: list[str] = field(default_factory=list)  # in place
    _new: list[Resource] = field(default_factory=list)
    _replaced: list[Resource] = field(default_factory=list)

    def create(self, template: Template, on_failure: str = ROLLBACK) -> None:
        self._walk(template)
        if self.cancelled():
            return
        if not self._reason:
            self.book.stack("CREATE_COMPLETE")
        elif on_failure == DO_NOTHING:
            self.book.stack("CREATE_FAILED", self._reason.rstrip())
        elif on_failure == DELETE:
            self.book.stack("DELETE_IN_PROGRESS", self._reason + texts.ROLLBACK_REQUESTED)
            self.delete()
        else:
            self.book.stack("ROLLBACK_IN_PROGRESS", self._reason + texts.ROLLBACK_REQUESTED)
            undeleted = self._delete(self._new, kept=lambda r: r.wanted.kept_on_rollback)
            self.book.stack(f"ROLLBACK_{'FAILED' if undeleted else 'COMPLETE'}", _told(undeleted))

    def update(self, template: Template, back: Template, on_failure: str = ROLLBACK) -> bool:
        """Whether the stack is now as the template says; else it is again as `back` says."""
        self._before = dict(self.book.resources)
        self._walk(template)
        if self.cancelled():
            return True
        if self._reason and on_failure == DO_NOTHING:
            self.book.stack("UPDATE_FAILED", self._reason.rstrip())
            return True
        if self._reason:
            self._go_back(back)
            return False
        self.book.stack("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        removed = [r for name, r in self._before.items() if name not in template.after]
        for resource in removed:
            del self.book.resources[resource.logical]

        def kept(resource: Resource) -> bool:
            wanted = resource.wanted
            return wanted.kept_on_delete if resource in removed else wanted.kept_on_replacement

        undeleted = self._delete([*self._replaced, *removed], kept)
        self.book.stack("UPDATE_COMPLETE", texts.NOT_ALL_CLEANED if undeleted else "")
        return True

    def delete(self, retained: Collection[str] = ()) -> None:
        undeleted = self._delete(
            list(self.book.resources.values()),
            kept=lambda r: r.wanted.kept_on_delete or r.logical in retained,
        )
        if undeleted:
            self.book.stack("DELETE_FAILED", _told(undeleted))
        else:
            self.book.stack("DELETE_COMPLETE")
            self.book.tell.gone()

    @property
    def _reason(self) -> str:
        parts = [
            texts.FAILED_TO.format(what=verb, names=", ".join(names))
            for verb, names in self._failed.items()
        ]
        return "".join(parts) or self._trouble

    def _walk(self, template: Template) -> None:
        walk(
            template.after,
            lambda name: self._begin(template, name),
            self._done,
            self._fail,
            expected=Failed,
            go_on=lambda: not self._failed and not self.cancelled(),
        )
        if not self._failed and not self.cancelled():
            try:
                template.finish()
            except Failed as error:
                self._trouble = f"{error} "

    def _begin(self, template: Template, name: str) -> Settle | None:
        old = self._before.get(name)
        if old is None or not old.exists:
            return self._create(template, name)
        resource = Resource(wanted=template.declared(name), made=old.made)
        self.book.resources[name] = resource
        resource.wanted = template.wanted(name)
        match self._handler(resource).change(old.wanted, resource.wanted):
            case Change.REPLACEMENT:
                return self._replace(template, old, resource)
            case Change.IN_PLACE:
                self.book.status(resource, "UPDATE_IN_PROGRESS")
                self._changed.append(name)
                assert old.made is not None, "it exists"
                resource.made = self._handler(resource).update(
                    self.book.where, old.wanted, old.made, resource.wanted
                )
            case Change.NONE:
                resource.status, resource.reason, resource.at = old.status, old.reason, old.at
                if resource.status.endswith("_FAILED"):
                    self.book.status(resource, "UPDATE_COMPLETE")
        template.has(resource)
        made = resource.made
        return made.settle if made and resource.status == "UPDATE_IN_PROGRESS" else None

    def _create(self, template: Template, name: str) -> Settle | None:
        resource = Resource(wanted=template.declared(name))
        self.book.resources[name] = resource
        self._new.append(resource)
        resource.wanted = template.wanted(name)
        self.book.status(resource, "CREATE_IN_PROGRESS")
        resource.made = self._handler(resource).create(self.book.where, resource.wanted)
        self.book.status(resource, "CREATE_IN_PROGRESS", texts.CREATION_BEGUN)
        template.has(resource)
        return resource.made.settle

    def _replace(self, template: Template, old: Resource, resource: Resource) -> Settle | None:
        handler = self._handler(resource)
        name = handler.named(resource.wanted)
        if name and name == handler.named(old.wanted):
            raise Failed(texts.CUSTOM_NAMED.format(name=name))
        self.book.status(resource, "UPDATE_IN_PROGRESS", texts.REPLACES)
        resource.made = made = handler.create(self.book.where, resource.wanted)
        self._new.append(resource)
        self._replaced.append(old)
        self.book.status(resource, "UPDATE_IN_PROGRESS", texts.CREATION_BEGUN)
        template.has(resource)
        return made.settle

    def _done(self, name: str) -> None:
        resource = self.book.resources[name]
        if resource.status.endswith("_IN_PROGRESS"):
            note = resource.made.note if resource.made else ""
            self.book.status(resource, resource.status.replace("IN_PROGRESS", "COMPLETE"), note)

    def _fail(self, name: str, error: Exception) -> None:
        resource = self.book.resources[name]
        old = self._before.get(name)
        verb = "create" if old is None or not old.exists else "update"
        self._failed.setdefault(verb, []).append(name)
        self.book.status(resource, f"{verb.upper()}_FAILED", str(error))

    def _go_back(self, back: Template) -> None:
        self.book.stack("UPDATE_ROLLBACK_IN_PROGRESS", self._reason.rstrip())
        left = {name: r for name, r in self.book.resources.items() if name not in self._before}
        failed: list[str] = []
        for name, old in self._before.items():
            resource = self.book.resources[name]
            if resource is old:
                continue
            touched = resource.status != old.status or resource.made is not old.made
            if name in self._changed and not self._revert(resource, old, back):
                failed.append(name)
                continue
            self.book.resources[name] = old
            if touched:
                self.book.status(old, "UPDATE_COMPLETE")
        if failed:
            self.book.stack("UPDATE_ROLLBACK_FAILED", _told(failed, "update"))
            return
        self.book.stack("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self._delete(self._new)
        for name in left:
            del self.book.resources[name]
        self.book.stack("UPDATE_ROLLBACK_COMPLETE")

    def _revert(self, resource: Resource, old: Resource, back: Template) -> bool:
        """Whether it is again what it was before it was changed in place."""
        assert resource.made is not None, "it existed before"
        self.book.status(resource, "UPDATE_IN_PROGRESS")
        try:
            old.made = self._handler(old).update(
                self.book.where, resource.wanted, resource.made, old.wanted
            )
            if old.made.settle is not None:
                old.made.settle()
        except Failed as error:
            self.book.status(resource, "UPDATE_FAILED", str(error))
            return False
        back.has(old)
        return True

    def _delete(
        self,
        resources: Sequence[Resource],
        kept: Callable[[Resource], bool] = lambda resource: False,
    ) -> list[str]:
        """Names of those that could not be deleted."""
        doomed: dict[str, tuple[Resource, Made]] = {}
        for resource in resources:
            if not resource.exists or resource.made is None:
                continue
            if kept(resource):
                self.book.status(resource, "DELETE_SKIPPED")
            else:
                doomed[resource.logical] = resource, resource.made
        undeleted: list[str] = []

        def begin(name: str) -> Settle | None:
            resource, made = doomed[name]
            self.book.status(resource, "DELETE_IN_PROGRESS")
            return self._handler(resource).delete(self.book.where, resource.wanted, made)

        def fail(name: str, error: Exception) -> None:
            undeleted.append(name)
            self.book.status(doomed[name][0], "DELETE_FAILED", str(error))

        waits = {name: r.wanted.names & doomed.keys() - {name} for name, (r, _) in doomed.items()}
        walk(
            turned(waits),
            begin,
            lambda name: self.book.status(doomed[name][0], "DELETE_COMPLETE"),
            fail,
            expected=Failed,
        )
        return undeleted

    def _handler(self, resource: Resource) -> Handler:
        return self.handler(resource.wanted.kind)


def _told(names: Sequence[str], what: str = "delete") -> str:
    told = texts.FAILED_TO.format(what=what, names=", ".join(names))
    return told.rstrip() if names else ""
