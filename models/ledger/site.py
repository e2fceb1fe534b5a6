"""A site in memory: its rows, and what can be rebuilt from them at any time (index, entries, sums)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from models.contract.face_models import FACE_MODELS, FaceModel
from models.contract.messages import Mode
from models.ledger.policy import Policy
from models.ledger.quota import Charge
from models.ledger.report_numbers import Numbering
from models.ledger.rows import (
    Account,
    DispenserAccount,
    Entry,
    Row,
    Settlement,
    SiteRow,
    VisitorAccount,
    charges,
    device_of,
    dispenser_key,
    is_visitor_key,
)
from models.ledger.template_index import TemplateIndex

__all__ = ["MAX_ENTRIES", "Remembered", "Site"]

MAX_ENTRIES = 16
"""Entries in one dispenser's row: about 2 kB of changelog a decision at most, however busy the dispenser."""

Remembered = tuple[Entry | Settlement, ...]
_EntryId = tuple[str, str]
"""device and id: two dispensers may choose the same request id"""


class Site:
    """What one site remembers. Reading never changes it; `put` and `remove` follow a decision's rows.

    Nothing is true of it that its rows do not say, so the order in which they are put back does not matter.
    """

    def __init__(self, name: str, secret: bytes, models: Mapping[str, FaceModel] = FACE_MODELS) -> None:
        self.name = name
        self.secret = secret
        self.models = models
        self.settings: SiteRow | None = None
        self.accounts: dict[str, Account] = {}
        self._entries: dict[_EntryId, tuple[str, Entry]] = {}
        self._indexes: defaultdict[tuple[str, int], TemplateIndex] = defaultdict(TemplateIndex)
        self._grants: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
        self._settlements: defaultdict[str, dict[str, tuple[str, Settlement]]] = defaultdict(dict)
        self._parts: defaultdict[str, set[int]] = defaultdict(set)
        self._erased: set[str] = set()
        """visitors' rows that are void and wait for a tick"""
        self._replaced: set[int] = set()
        """offsets of rows whose grants another row took over"""
        self._newest: dict[str, str] = {}

    @property
    def policy(self) -> Policy:
        return self.settings.policy if self.settings else Policy()

    @property
    def mode(self) -> Mode:
        """Without settings, no face is looked at."""
        if self.settings is None:
            return "button"
        return "held" if self.settings.held else self.settings.mode

    @property
    def epoch(self) -> int:
        return self.settings.epoch if self.settings else 0

    def horizon(self, at: int) -> int:
        """Give the moment up to which nothing counts any more at `at`; policies never move it back."""
        return max(at - self.policy.window_ms, self.settings.floor if self.settings else 0)

    def held(self, device: str, entry_id: str, horizon: int) -> tuple[str, Entry] | None:
        """Find a live entry and the key of the account that holds it."""
        found = self._entries.get((device, entry_id))
        return found if found and found[1].at > horizon else None

    def index(self, model: str, epoch: int) -> TemplateIndex:
        """Give the templates that may be compared with one of this model and epoch."""
        return self._indexes.get((model, epoch)) or TemplateIndex()

    def captures(self, horizon: int) -> list[int]:
        """Tell when each live template was captured, milliseconds."""
        return [int(at) for index in self._indexes.values() for at in index.live(horizon)]

    def false_matches(self, horizon: int) -> float:
        """How many live templates a newcomer is expected to match, at most: false match rate x live templates."""
        known = ((model, index) for (model, _), index in sorted(self._indexes.items()) if model in self.models)
        return sum((self.models[model].false_match_rate * len(index.live(horizon)) for model, index in known), 0.0)

    def charges(self, entries: Iterable[Entry], horizon: int) -> list[Charge]:
        """Give what the grants among these count against a limit."""
        grants = (entry for entry in entries if entry.granted_cm)
        return [charge for entry in grants for charge in self._charges(entry, horizon)]

    def dispensed(self, device: str, horizon: int) -> list[Charge]:
        """Give what counts against a dispenser's limit: everything but staff's."""
        grants = self._grants.get(device, {}).values()
        return [*self.charges(grants, horizon), *(charge for _, charge in self._unasked(device))]

    def faceless(self, device: str, horizon: int) -> list[Charge]:
        """Give what counts against a dispenser's button budget: portions without an identity."""
        grants = self._grants.get(device, {}).values()
        unasked = [charge for told, charge in self._unasked(device) if not told.is_visitors]
        return [*self.charges((e for e in grants if self._is_faceless(e)), horizon), *unasked]

    def settlement(self, device: str, request: str, horizon: int) -> tuple[str, Settlement] | None:
        """Find what live reports told of a request, and the key of the row that holds it."""
        found = self._settlements.get(device, {}).get(request)
        return found if found and found[1].at > horizon else None

    def numbering(self, device: str) -> Numbering:
        """Tell which of a dispenser's reports came."""
        newest = self._newest.get(device)
        account = self.accounts[newest] if newest else None
        return account.numbering if isinstance(account, DispenserAccount) else Numbering()

    @property
    def is_full(self) -> bool:
        """Whether only what counts against a limit is remembered from now on."""
        return len(self.accounts) >= self.policy.most_accounts

    def open_row(self, device: str, horizon: int) -> tuple[str, Remembered]:
        """Find the dispenser's row that takes the next entry, and the live entries that it keeps."""
        part = max(self._parts.get(device, ()), default=0)
        account = self.accounts.get(dispenser_key(self.name, device, part))
        live = tuple(entry for entry in account.entries if entry.at > horizon) if account else ()
        if len(live) < MAX_ENTRIES:
            return dispenser_key(self.name, device, part), live
        return dispenser_key(self.name, device, part + 1), ()

    def expired(self, horizon: int) -> list[str]:
        """Give the keys of the accounts in which nothing counts any more, and that nothing else needs."""
        kept = {key for device, key in self._newest.items() if self.numbering(device) != Numbering()}
        dead = {key for key, account in self.accounts.items() if key not in kept and not _lives(account, horizon)}
        return sorted(dead | self._erased)

    def count_live(self, horizon: int) -> int:
        """Count the accounts in which something counts."""
        return sum(_lives(account, horizon) for account in self.accounts.values())

    def count_visitors(self, horizon: int) -> int:
        """Count the visitors of whom something counts."""
        visitors = (account for account in self.accounts.values() if isinstance(account, VisitorAccount))
        return sum(_lives(account, horizon) for account in visitors)

    def put(self, key: str, row: Row) -> None:
        """Take over a row that was written."""
        match row:
            case SiteRow():
                self.settings = row
                self._erase_void()
            case VisitorAccount() if self._is_void(row):
                self._erased.add(key)
            case VisitorAccount() | DispenserAccount():
                self.remove(key)
                self.accounts[key] = row
                self._remember(key, row)

    def remove(self, key: str) -> None:
        """Forget an account, if it is there."""
        self._erased.discard(key)
        match self.accounts.pop(key, None):
            case None:
                return
            case VisitorAccount() as account:
                self._evict(key, account)
            case DispenserAccount() as account:
                self._forget_row(key)
        for entry in account.entries:
            match entry:
                case Entry():
                    self._forget_entry(key, entry)
                case Settlement():
                    told = self._settlements[entry.device]
                    if told.get(entry.request, ("",))[0] == key:
                        del told[entry.request]

    def _is_void(self, account: VisitorAccount) -> bool:
        erased = self.settings.erased if self.settings else -1
        return account.offset <= erased or account.offset in self._replaced

    def _erase_void(self) -> None:
        """Remove every visitor's account that is void from memory; its row waits for a tick."""
        visitors = ((key, account) for key, account in self.accounts.items() if isinstance(account, VisitorAccount))
        for key in [key for key, account in visitors if self._is_void(account)]:
            self.remove(key)
            self._erased.add(key)

    def _evict(self, key: str, account: VisitorAccount) -> None:
        """Remove a visitor's template. An index that holds none any more, as of an ended epoch, is dropped."""
        self._replaced.difference_update(account.replaces)
        index = self._indexes.get((account.model, account.epoch))
        if index is not None:
            index.discard(key)
            if not len(index):
                del self._indexes[account.model, account.epoch]

    def _remember(self, key: str, account: Account) -> None:
        match account:
            case VisitorAccount(replaces=(_, *_) as replaces):
                self._replaced.update(replaces)
                self._erase_void()
            case VisitorAccount(template=bytes() as template):
                captured = max(entry.at for entry in account.entries)
                self._indexes[account.model, account.epoch].put(key, template, captured)
            case DispenserAccount():
                self._remember_row(key, account)
        for entry in account.entries:
            match entry:
                case Entry():
                    self._remember_entry(key, entry)
                case Settlement():
                    told = self._settlements[entry.device]
                    if entry.request not in told or told[entry.request][1].at <= entry.at:
                        told[entry.request] = (key, entry)

    def _remember_row(self, key: str, account: DispenserAccount) -> None:
        device = device_of(key)
        self._parts[device].add(_part(key))
        newest = self._newest.get(device)
        if newest is None or self.accounts[newest].offset <= account.offset:
            self._newest[device] = key

    def _forget_row(self, key: str) -> None:
        device = device_of(key)
        parts = self._parts[device]
        parts.discard(_part(key))
        if self._newest.get(device) == key:
            others = [dispenser_key(self.name, device, part) for part in parts]
            newest = max(others, key=lambda other: self.accounts[other].offset, default=None)
            self._newest.pop(device)
            if newest:
                self._newest[device] = newest

    def _remember_entry(self, key: str, entry: Entry) -> None:
        entry_id = (entry.device, entry.id)
        if entry_id in self._entries and self._entries[entry_id][1].at > entry.at:
            return  # an id used again: the older entry has expired in a row that is still there
        self._entries[entry_id] = (key, entry)
        if entry.granted_cm and entry.by != "staff":
            self._grants[entry.device][entry.id] = entry

    def _forget_entry(self, key: str, entry: Entry) -> None:
        entry_id = (entry.device, entry.id)
        if entry_id in self._entries and self._entries[entry_id][0] == key:
            del self._entries[entry_id]
            self._grants[entry.device].pop(entry.id, None)

    def _charges(self, entry: Entry, horizon: int) -> Iterator[Charge]:
        told = self.settlement(entry.device, entry.id, horizon)
        return charges(entry, told[1] if told else None, self.policy.give_back)

    def _unasked(self, device: str) -> Iterator[tuple[Settlement, Charge]]:
        """What a dispenser gave for requests that nothing is known to be granted for."""
        for request, (_, told) in self._settlements.get(device, {}).items():
            known = self._entries.get((device, request))
            if known is None or not known[1].granted_cm:
                yield told, Charge(told.at, told.cm)

    def _is_faceless(self, entry: Entry) -> bool:
        """Return whether a grant was made without an identity."""
        return not is_visitor_key(self._entries[entry.device, entry.id][0])


def _lives(account: Account, horizon: int) -> bool:
    return any(entry.at > horizon for entry in account.entries)


def _part(key: str) -> int:
    return int(key.rsplit("/", 1)[1])
