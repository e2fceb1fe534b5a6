"""A site in memory: its rows, and what can be rebuilt from them at any time (index, entries, sums)."""

from collections import defaultdict

from models.accounts import Account, DispenserAccount, Entry, Row, SiteRow, VisitorAccount, dispenser_key
from models.identity import TemplateIndex
from models.messages import Mode
from models.policy import Policy
from models.quota import Charge

__all__ = ["MAX_ENTRIES", "Site"]

MAX_ENTRIES = 16
"""Entries in one dispenser's row: about 2 kB of changelog a decision at most, however busy the dispenser."""

_EntryId = tuple[str, str]
"""device and id: two dispensers may choose the same request id"""


class Site:
    """What one site remembers. Reading never changes it; `put` and `remove` follow a decision's rows.

    Nothing is true of it that its rows do not say, so the order in which they are put back does not matter.
    """

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        self.secret = secret
        self.settings: SiteRow | None = None
        self.accounts: dict[str, Account] = {}
        self._entries: dict[_EntryId, tuple[str, Entry]] = {}
        self._indexes: defaultdict[tuple[str, int], TemplateIndex] = defaultdict(TemplateIndex)
        self._charges: defaultdict[str, dict[_EntryId, Charge]] = defaultdict(dict)
        self._faceless: defaultdict[str, dict[_EntryId, Charge]] = defaultdict(dict)
        self._parts: defaultdict[str, set[int]] = defaultdict(set)

    @property
    def policy(self) -> Policy:
        return self.settings.policy if self.settings else Policy()

    @property
    def mode(self) -> Mode:
        """Without settings, no face is looked at."""
        return self.settings.mode if self.settings else "button"

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

    def charges(self, device: str) -> list[Charge]:
        """Give what counts against a dispenser's limit: everything but staff's."""
        return list(self._charges.get(device, {}).values())

    def faceless(self, device: str) -> list[Charge]:
        """Give what counts against a dispenser's button budget: portions without an identity."""
        return list(self._faceless.get(device, {}).values())

    def open_row(self, device: str, horizon: int) -> tuple[str, tuple[Entry, ...]]:
        """Find the dispenser's row that takes the next entry, and the live entries that it keeps."""
        part = max(self._parts.get(device, ()), default=0)
        account = self.accounts.get(dispenser_key(self.name, device, part))
        live = tuple(entry for entry in account.entries if entry.at > horizon) if account else ()
        if len(live) < MAX_ENTRIES:
            return dispenser_key(self.name, device, part), live
        return dispenser_key(self.name, device, part + 1), ()

    def expired(self, horizon: int) -> list[str]:
        """Give the keys of the accounts in which nothing counts any more."""
        return sorted(key for key, account in self.accounts.items() if all(e.at <= horizon for e in account.entries))

    def put(self, key: str, row: Row) -> None:
        """Take over a row that was written."""
        match row:
            case SiteRow():
                self.settings = row
            case VisitorAccount() | DispenserAccount():
                self.remove(key)
                self.accounts[key] = row
                self._remember(key, row)

    def remove(self, key: str) -> None:
        """Forget an account, if it is there."""
        match self.accounts.pop(key, None):
            case None:
                return
            case VisitorAccount() as account:
                self._indexes[account.model, account.epoch].discard(key)
            case DispenserAccount() as account:
                self._parts[account.entries[0].device].discard(_part(key))
        for entry in account.entries:
            entry_id = (entry.device, entry.id)
            if entry_id in self._entries and self._entries[entry_id][0] == key:
                del self._entries[entry_id]
                self._charges[entry.device].pop(entry_id, None)
                self._faceless[entry.device].pop(entry_id, None)

    def _remember(self, key: str, account: Account) -> None:
        faceless = True
        match account:
            case VisitorAccount(template=bytes() as template):
                faceless = False
                captured = max(entry.at for entry in account.entries)
                self._indexes[account.model, account.epoch].put(key, template, captured)
            case DispenserAccount():
                self._parts[account.entries[0].device].add(_part(key))
        for entry in account.entries:
            entry_id = (entry.device, entry.id)
            if entry_id in self._entries and self._entries[entry_id][1].at > entry.at:
                continue  # an id used again: the older entry has expired in a row that is still there
            self._entries[entry_id] = (key, entry)
            if entry.by != "staff":
                charge = Charge(entry.at, entry.charged_cm)
                self._charges[entry.device][entry_id] = charge
                if faceless:
                    self._faceless[entry.device][entry_id] = charge


def _part(key: str) -> int:
    return int(key.rsplit("/", 1)[1])
