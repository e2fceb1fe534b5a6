"""A site in memory: its rows, and what can be rebuilt from them at any time (indexes, sums, order of expiry)."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from models.contract.face_models import FACE_MODELS, TRILLION, CurvePoint, FaceModel
from models.contract.messages import Mode
from models.ledger.report_numbers import Numbering
from models.ledger.rows import (
    Account,
    DispenserAccount,
    Entry,
    Remembered,
    Row,
    SiteRow,
    VisitorAccount,
    charges,
    device_of,
    dispenser_key,
    part_of,
    site_key,
)
from models.ledger.rules.bounds import ENTRIES_PER_ROW
from models.ledger.rules.policy import Policy
from models.ledger.rules.quota import Charge
from models.ledger.state.dispenser_rows import DispenserRows
from models.ledger.state.expiry import Expiry
from models.ledger.state.request_index import RequestIndex
from models.ledger.state.template_index import TemplateIndex

__all__ = ["Site"]


class Site:
    """The memory of one site. Reading never changes it; `put` and `remove` apply the rows of a decision.

    It is determined by its rows, so the order in which they are restored does not matter.
    """

    def __init__(self, name: str, secret: bytes, models: Mapping[str, FaceModel] = FACE_MODELS) -> None:
        self.name = name
        self.secret = secret
        self.models = models
        self.settings: SiteRow | None = None
        self.accounts: dict[str, Account] = {}
        self.requests = RequestIndex()
        self._templates: dict[tuple[str, int], TemplateIndex] = {}
        self._rows: defaultdict[str, DispenserRows] = defaultdict(DispenserRows)
        self._visitors, self._dispensers = Expiry(), Expiry()
        self._erased: set[str] = set()
        """visitors' rows that are void and wait for a tick"""
        self._replaced: set[int] = set()
        """offsets of rows whose grants another row took over"""

    @property
    def is_served(self) -> bool:
        """Whether it is configured, and was not removed since."""
        return self.settings is not None and not self.settings.removed

    @property
    def is_empty(self) -> bool:
        """Whether it has no row at all."""
        return self.settings is None and not self.accounts and not self._erased

    @property
    def policy(self) -> Policy:
        return self.settings.policy if self.settings else Policy()

    @property
    def mode(self) -> Mode:
        """Without settings, no face is captured."""
        if self.settings is None:
            return "button"
        return "held" if self.settings.held else self.settings.mode

    @property
    def epoch(self) -> int:
        return self.settings.epoch if self.settings else 0

    def horizon(self, at: int) -> int:
        """Return the moment up to which nothing counts any more at `at`; policies never move it back."""
        return max(at - self.policy.window_ms, self.settings.floor if self.settings else 0)

    def templates(self, model: str, epoch: int) -> TemplateIndex | None:
        """Return those that may be compared with one of this model and epoch."""
        return self._templates.get((model, epoch))

    def count_templates(self, horizon: int) -> int:
        """Count the live templates."""
        return sum(index.count(horizon) for index in self._templates.values())

    def oldest_template(self, horizon: int) -> int | None:
        """Return when the oldest live template was captured, milliseconds."""
        oldest = (index.oldest(horizon) for index in self._templates.values())
        return min((at for at in oldest if at is not None), default=None)

    def threshold(self, model: FaceModel, crowd: int) -> CurvePoint | None:
        """Return the threshold for so many live templates that keeps wrongful refusals within the policy's target."""
        return model.threshold(crowd, self.policy.wrongful_per_million)

    def expected_errors(self, horizon: int) -> tuple[float, float]:
        """Return how many live templates a newcomer is expected to match, at most, and the share of misses.

        The share is that of the templates of one model, the worst where there are several.
        """
        wrongful, missed = 0.0, 0.0
        for (name, _), index in sorted(self._templates.items()):
            crowd = index.count(horizon)
            if crowd and (model := self.models.get(name)):
                point = self.threshold(model, crowd)
                wrongful += crowd * point.false_match / TRILLION if point else 0.0
                missed = max(missed, point.missed if point else 1.0)
        return wrongful, missed

    def charges(self, entries: Remembered, horizon: int) -> list[Charge]:
        """Return the charges of these entries against a visitor's limit."""
        grants = (entry for entry in entries if isinstance(entry, Entry) and entry.granted_cm)
        return [charge for entry in grants for charge in self._charges(entry, horizon)]

    def numbering(self, device: str) -> Numbering:
        """Return the received report numbers of a dispenser."""
        account = self.accounts.get(self._newest_row(device) or "")
        return account.numbering if isinstance(account, DispenserAccount) else Numbering()

    def is_full(self, horizon: int) -> bool:
        """Return whether the maximum of visitors is reached."""
        return self.count_visitors(horizon) >= self.policy.most_accounts

    def open_row(self, device: str, horizon: int) -> tuple[str, Remembered]:
        """Find the dispenser's row that takes the next entry, and the live entries that it keeps."""
        part = self._rows[device].last if device in self._rows else 0
        account = self.accounts.get(dispenser_key(self.name, device, part))
        live = tuple(entry for entry in account.entries if entry.at > horizon) if account else ()
        if len(live) < ENTRIES_PER_ROW:
            return dispenser_key(self.name, device, part), live
        return dispenser_key(self.name, device, part + 1), ()

    def expired(self, horizon: int) -> list[str]:
        """Return the keys of the rows in which nothing counts any more, and that nothing else needs.

        The row that marks a removed site comes last: as long as any of its rows is there, the mark is.
        """
        dispensers = {key for key in self._dispensers.expired(horizon) if not self._holds_numbering(key)}
        if self.settings is None or not self.settings.removed:
            return sorted({*self._visitors.expired(horizon), *dispensers, *self._erased})
        before = {key for key, account in self.accounts.items() if account.offset <= self.settings.offset}
        return [*sorted({*before, *dispensers, *self._erased}), site_key(self.name)]

    def count_accounts(self, horizon: int) -> int:
        """Count the accounts with a live entry or settlement."""
        return self.count_visitors(horizon) + self._dispensers.count_live(horizon)

    def count_visitors(self, horizon: int) -> int:
        """Count the visitors with a live entry."""
        return self._visitors.count_live(horizon)

    def put(self, key: str, row: Row) -> None:
        """Insert or replace a row."""
        match row:
            case SiteRow():
                self.settings = row
                self._erase_void()
            case VisitorAccount() if self._is_void(row):
                self._erased.add(key)
            case VisitorAccount():
                self._put_account(key, row)
                self._put_visitor(key, row)
            case DispenserAccount():
                self._put_account(key, row)
                self._rows[device_of(key)].put(part_of(key), row.offset)
                self._dispensers.put(key, max((item.at for item in row.entries), default=-1))

    def remove(self, key: str) -> None:
        """Remove a row, if it is there."""
        if key == site_key(self.name):
            self.settings = None
        self._erased.discard(key)
        account = self.accounts.pop(key, None)
        if account is None:
            return
        self.requests.replace(key, account.entries, ())
        match account:
            case VisitorAccount():
                self._visitors.discard(key)
                self._replaced.difference_update(account.replaces)
                self._evict(key, account)
            case DispenserAccount():
                self._dispensers.discard(key)
                self._rows[device_of(key)].remove(part_of(key))

    def rebuilt(self, change: Callable[[Row], Row]) -> "Site":
        """Return a site with the rows that `change` returns for these."""
        other = Site(self.name, self.secret, self.models)
        if self.settings:
            other.put(site_key(self.name), change(self.settings))
        for key, account in self.accounts.items():
            other.put(key, change(account))
        other._erased |= self._erased
        return other

    def _put_account(self, key: str, row: Account) -> None:
        before = self.accounts.get(key)
        self.accounts[key] = row
        self.requests.replace(key, before.entries if before else (), row.entries)

    def _put_visitor(self, key: str, row: VisitorAccount) -> None:
        self._erased.discard(key)
        captured = max(entry.at for entry in row.entries)
        self._visitors.put(key, captured)
        if row.template is not None:
            if (index := self.templates(row.model, row.epoch)) is None:
                index = self._templates[row.model, row.epoch] = TemplateIndex(8 * len(row.template))
            index.put(key, row.template, captured)
        else:
            self._evict(key, row)
        if row.replaces:
            self._replaced.update(row.replaces)
            self._erase_void()

    def _evict(self, key: str, account: VisitorAccount) -> None:
        """Remove a visitor's template, and an index that is empty, as that of an ended epoch."""
        index = self._templates.get((account.model, account.epoch))
        if index is not None:
            index.discard(key)
            if not len(index):
                del self._templates[account.model, account.epoch]

    def _is_void(self, account: VisitorAccount) -> bool:
        erased = self.settings.erased if self.settings else -1
        return account.offset <= erased or account.offset in self._replaced

    def _erase_void(self) -> None:
        """Remove every visitor's account that is void from memory; its row waits for a tick."""
        visitors = ((key, account) for key, account in self.accounts.items() if isinstance(account, VisitorAccount))
        for key in [key for key, account in visitors if self._is_void(account)]:
            self.remove(key)
            self._erased.add(key)

    def _newest_row(self, device: str) -> str | None:
        part = self._rows[device].newest if device in self._rows else None
        return None if part is None else dispenser_key(self.name, device, part)

    def _holds_numbering(self, key: str) -> bool:
        """Whether a row must stay for the report numbers of its dispenser after its content has expired."""
        device = device_of(key)
        return self.is_served and self._newest_row(device) == key and self.numbering(device) != Numbering()

    def _charges(self, entry: Entry, horizon: int) -> Iterator[Charge]:
        found = self.requests.settlement(entry.device, entry.id, horizon)
        return charges(entry, found[1] if found else None, self.policy.give_back)
