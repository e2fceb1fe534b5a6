"""The sites file of the operator: mode, placement and policy of each site, decoded and validated as a whole."""

import hashlib
import tomllib
from typing import Annotated, Any, Literal, assert_never

import msgspec
from msgspec import Meta, Struct

from models.contract.messages import Fault, Placement, Sign
from models.contract.topics import Name
from models.errors import ConfigError
from models.ledger.rules.bounds import MOST_DISPENSERS, MOST_GRANTS

__all__ = ["GiveBack", "Policies", "Policy", "Shortfall", "SiteSpec", "Sites", "parse_policies", "parse_sites"]

_MIN_WINDOW_S = 60
"""The shortest time for which a repeated request is recognised."""
_MAX_WINDOW_S = 86_400
_Centimetres = Annotated[int, Meta(ge=1, le=100_000)]
_Wait = Annotated[int, Meta(ge=0, le=_MAX_WINDOW_S)]


Shortfall = Fault | Literal["expired", "unreported"]
"""Why less came out than was granted, as far as the pipeline knows."""


class GiveBack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When paper that was granted and did not come out stops counting: seconds after the grant."""

    jam_s: _Wait = 0
    """the motor jammed"""
    empty_s: _Wait = 0
    """the roll ended"""
    power_s: _Wait = 0
    """the power was cut while the motor ran"""
    expired_s: _Wait = 0
    """the command came too late, so that the dispenser declined it"""
    unreported_s: _Wait = 120
    """no report came: a dispenser that is connected reports within seconds"""

    def wait_ms(self, shortfall: "Shortfall | None") -> int:
        """Return how long paper that did not come out counts after its grant, milliseconds."""
        match shortfall:
            case None:
                return 0
            case "jam":
                seconds = self.jam_s
            case "empty":
                seconds = self.empty_s
            case "power":
                seconds = self.power_s
            case "expired":
                seconds = self.expired_s
            case "unreported":
                seconds = self.unreported_s
            case _:
                assert_never(shortfall)
        return 1000 * seconds


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits and times of a site. The defaults are those of the first deployments (docs/field.md)."""

    portion_cm: _Centimetres = 60
    """what one grant dispenses"""
    limit_cm: _Centimetres = 60
    """what one visitor is granted in the trailing window"""
    window_s: Annotated[int, Meta(ge=_MIN_WINDOW_S, le=_MAX_WINDOW_S)] = 540
    """how long a grant counts, and the longest that a template lives"""
    button_budget_cm: _Centimetres = 3_000
    """maximum of one dispenser without a face in a window: by button and by local ration"""
    dispenser_limit_cm: _Centimetres = 12_000
    """maximum of one dispenser in a window, staff excluded: bounds the paper that a photo of another person can cost"""
    ration_budget_cm: _Centimetres = 6_000
    """maximum of local rations of one dispenser in a window, staff excluded"""
    give_back: GiveBack = GiveBack()
    epoch_s: Annotated[int, Meta(ge=3_600, le=2_592_000)] = 86_400
    """life of the key of the site's templates; older templates match nothing under the next one"""
    most_accounts: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    """maximum of visitors that a site remembers; beyond it a new face is served by the rules of the button"""
    wrongful_per_million: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """of a million newcomers, so many are expected to be taken for another visitor, at most: it sets the threshold
    for each number of live templates (models/contract/face_models.py)"""

    def __post_init__(self) -> None:
        for name in ("limit_cm", "button_budget_cm", "dispenser_limit_cm", "ration_budget_cm"):
            if getattr(self, name) < self.portion_cm:
                raise ValueError(f"{name} is below portion_cm, so that no visitor would ever be served")
        if self.limit_cm > MOST_GRANTS * self.portion_cm:
            raise ValueError(f"limit_cm is above {MOST_GRANTS} portions, the most that one visitor is granted")

    @property
    def window_ms(self) -> int:
        return self.window_s * 1000

    @property
    def version(self) -> str:
        """The first 12 hex digits of the SHA-256 of the policy's JSON."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]


class SiteSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site of the operator's file."""

    devices: Annotated[tuple[Name, ...], Meta(max_length=MOST_DISPENSERS)]
    placement: Placement = "entrance"
    mode: Literal["face", "button"] = "button"
    minors: bool = False
    """Children under 14 are expected, who cannot consent to a template by themselves (docs/field.md, law)."""
    sign: Sign = ""
    """The text that the dispensers show instead of their own sign."""
    simulated: bool = False
    """Only simulated dispensers use this site."""
    policy: Policy = Policy()

    def __post_init__(self) -> None:
        if self.placement == "inside" and self.mode == "face":
            raise ValueError('placement = "inside" forbids mode = "face"')
        if self.minors and self.mode == "face":
            raise ValueError('minors = true forbids mode = "face": under 14 a guardian would have to consent')


class Sites(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's file: every site that the pipeline serves."""

    sites: dict[Name, SiteSpec]

    def knows(self, site: str, device: str) -> bool:
        spec = self.sites.get(site)
        return spec is not None and device in spec.devices

    @property
    def longest_window_s(self) -> int:
        return max((spec.policy.window_s for spec in self.sites.values()), default=_MIN_WINDOW_S)


class _OnlyPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Policy


class _TrialFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Policy | None = None
    sites: dict[Name, Any] = {}


class Policies(Struct, frozen=True, kw_only=True):
    """Trial policies: one for each named site, and one for all others, if given."""

    sites: dict[Name, Policy] = {}
    others: Policy | None = None

    def of(self, site: str) -> Policy | None:
        """Return the trial policy of a site; None: the site keeps its own."""
        return self.sites.get(site, self.others)


def parse_policies(text: str, source: str) -> Policies:
    """Parse trial policies in TOML: `[policy]` for every site, `[sites.park.policy]` for one, or a whole sites file.

    Raises ConfigError naming `source` and the place in it.
    """
    tables = _parse_toml(text, source)
    try:
        tried = msgspec.convert(tables, _TrialFile)
        sites = {name: _trial_policy(name, table) for name, table in tried.sites.items()}
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from None
    if not sites and tried.policy is None:
        raise ConfigError(f"{source}: it has no policy: write [policy], or [sites.NAME.policy]")
    return Policies(sites=sites, others=tried.policy)


def _trial_policy(name: str, table: Any) -> Policy:
    try:
        if isinstance(table, dict) and "devices" in table:
            return msgspec.convert(table, SiteSpec).policy
        return msgspec.convert(table, _OnlyPolicy).policy
    except msgspec.ValidationError as error:
        text = str(error)
        where = text.replace("`$.", f"`$.sites.{name}.") if "`$." in text else f"{text} - at `$.sites.{name}`"
        raise msgspec.ValidationError(where) from None


def parse_sites(text: str, source: str) -> Sites:
    """Parse a sites file in TOML; raises ConfigError naming `source` and the place in it."""
    tables = _parse_toml(text, source)
    try:
        return msgspec.convert(tables, Sites)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_with_its_site(str(error), tables)}") from None


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from None


def _with_its_site(error: str, tables: dict[str, Any]) -> str:
    """Add the site to msgspec's message, which names only the place within it."""
    if "sites[...]" not in error:
        return error
    for name, table in tables["sites"].items():
        try:
            msgspec.convert({"sites": {name: table}}, Sites)
        except msgspec.ValidationError:
            return error.replace("sites[...]", f"sites.{name}")
    return error
