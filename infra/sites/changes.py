"""What a sites file changes of the sites that Kafka holds. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from models.ledger.events import SiteConfigured, SiteRemoved
from models.ledger.rules.policy import Sites, SiteSpec

__all__ = ["Change", "Order", "compare", "kept", "without_removals"]

Order = SiteConfigured | SiteRemoved


class Change(NamedTuple):
    """One site, and how it differs."""

    site: str
    before: SiteSpec | None
    """None: it is new"""
    after: SiteSpec | None
    """None: it is to be removed"""

    @property
    def removed_devices(self) -> list[str]:
        """Dispensers that are to be removed, in the order of their names."""
        return sorted(_devices(self.before) - _devices(self.after))

    def order(self, why: str = "", by: str = "") -> Order:
        """Return the event that makes it so."""
        if self.after is None:
            return SiteRemoved(site=self.site, why=why, by=by)
        return SiteConfigured(site=self.site, **structs.asdict(self.after))

    def __str__(self) -> str:
        if self.after is None:
            return f"{self.site}: removed, with {len(self.removed_devices)} dispensers"
        if self.before is None:
            mode, policy = self.after.mode, self.after.policy.version
            return f"{self.site}: added: {mode}, policy {policy}, {len(self.after.devices)} dispensers"
        return f"{self.site}: changed: {', '.join(_differences(self.before, self.after))}"


def compare(present: Sites, wanted: Sites) -> list[Change]:
    """Return the sites that are to be added, changed or removed, by name."""
    names = sorted(present.sites.keys() | wanted.sites.keys())
    changes = (Change(name, present.sites.get(name), wanted.sites.get(name)) for name in names)
    return [change for change in changes if _comparable(change.before) != _comparable(change.after)]


def without_removals(changes: Iterable[Change]) -> list[Change]:
    """Return the same changes, but each site and dispenser that is there stays."""
    return [
        more
        for change in changes
        if change.after
        and _comparable((more := change._replace(after=_with(change.after, change.removed_devices))).after)
        != _comparable(change.before)
    ]


def kept(changes: Iterable[Change]) -> list[str]:
    """Name the sites and dispensers that are not removed because of that."""
    return [
        name
        for change in changes
        for name in (
            [change.site] if change.after is None else [f"{change.site}/{device}" for device in change.removed_devices]
        )
    ]


def _with(spec: SiteSpec, devices: Iterable[str]) -> SiteSpec:
    return structs.replace(spec, devices=(*spec.devices, *devices))


def _devices(spec: SiteSpec | None) -> set[str]:
    return set(spec.devices) if spec else set()


def _comparable(spec: SiteSpec | None) -> SiteSpec | None:
    """The order of dispensers means nothing."""
    return structs.replace(spec, devices=tuple(sorted(set(spec.devices)))) if spec else None


def _differences(before: SiteSpec, after: SiteSpec) -> Iterator[str]:
    old, new = _fields(before), _fields(after)
    yield from (f"{name} {old[name]!r} -> {new[name]!r}" for name in old if old[name] != new[name])
    yield from (f"+ {device}" for device in sorted(_devices(after) - _devices(before)))
    yield from (f"- {device}" for device in sorted(_devices(before) - _devices(after)))


def _fields(spec: SiteSpec) -> dict[str, Any]:
    """Every setting but the dispensers, by its name in the file."""
    flat: dict[str, Any] = {}
    tables = [("", msgspec.to_builtins(spec))]
    while tables:
        prefix, table = tables.pop(0)
        for name, value in table.items():
            if isinstance(value, dict):
                tables.append((f"{prefix}{name}.", value))
            elif name != "devices":
                flat[f"{prefix}{name}"] = value
    return flat
