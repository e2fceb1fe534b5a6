"""The ledger with sealed templates: what is written, what a lost key does."""

from msgspec import structs

from models.contract.codec import encode
from models.contract.messages import Dispense, FaceSeen, Refuse
from models.contract.topics import Topics
from models.keys.seals import ENTROPY_BYTES, NONCE_BYTES, Keyring, SealKey, binding
from models.ledger.codec import decode_row
from models.ledger.events import Requested, SiteConfigured
from models.ledger.outcomes import Answered
from models.ledger.rows import VisitorAccount
from models.ledger.rules.policy import Policy
from stream_processors.decider.ledger import Ledger, Message
from tests.support.story import MODEL, RESERVED, SECRET, SITE, START, template

MINUTE = START // 60_000
TABLE_ROW = b"0/visitor/"


def keyring(entropy: bytes = bytes(range(ENTROPY_BYTES))) -> Keyring:
    keys = Keyring()
    keys.put(SITE, SealKey.first(MINUTE, entropy))
    return keys


def requested(keys: Keyring, person: str, number: int) -> Requested:
    """As ingress writes it."""
    face = FaceSeen(id=f"request-{number:010d}", model=MODEL, template=None)
    sealed = keys.seal(SITE, template(person), binding(SITE, "gate", face.id), MINUTE, bytes(NONCE_BYTES))
    return Requested(site=SITE, device="gate", request=face, sealed=sealed)


def recovered(table: dict[bytes, bytes], keys: Keyring) -> Ledger:
    ledger = Ledger(SECRET, keys, Topics())
    ledger.begin(table, [0])
    return ledger


def begin(table: dict[bytes, bytes], keys: Keyring) -> Ledger:
    ledger = recovered(table, keys)
    settings = SiteConfigured(site=SITE, mode="face", policy=Policy(give_back=RESERVED))
    ledger.fold(Message(0, 0, START, b""), settings)
    return ledger


def fold(ledger: Ledger, offset: int, event: Requested) -> Answered:
    [answered] = ledger.fold(Message(0, offset, START + offset, b""), event).outcomes
    assert isinstance(answered, Answered)
    return answered


def test_a_sealed_template_is_known_again_and_no_row_carries_it_open() -> None:
    table: dict[bytes, bytes] = {}
    keys = keyring()
    ledger = begin(table, keys)
    fold(ledger, 1, requested(keys, "ann", 1))
    assert fold(ledger, 2, requested(keys, "ann", 2)).identity == "same"
    [row] = [decode_row(row) for key, row in table.items() if key.startswith(TABLE_ROW)]
    assert isinstance(row, VisitorAccount)
    assert (row.template, row.sealed is not None) == (None, True)
    assert not any(encode(template("ann")).strip(b'"') in row for row in table.values())


def test_after_a_recovery_those_who_are_remembered_are_known_again() -> None:
    table: dict[bytes, bytes] = {}
    keys = keyring()
    fold(begin(table, keys), 1, requested(keys, "ann", 1))
    again = fold(recovered(table, keyring()), 2, requested(keys, "ann", 2))
    assert isinstance(again.command, Refuse)


def test_a_lost_key_forgets_templates_and_refuses_nobody() -> None:
    table: dict[bytes, bytes] = {}
    keys = keyring()
    fold(begin(table, keys), 1, requested(keys, "ann", 1))
    other = keyring(bytes(ENTROPY_BYTES))
    again = recovered(table, other)
    assert isinstance(fold(again, 2, requested(other, "ann", 2)).command, Dispense)


def test_rows_that_were_read_without_keys_are_known_again_once_the_keys_are_there() -> None:
    table: dict[bytes, bytes] = {}
    fold(begin(table, keyring()), 1, requested(keyring(), "ann", 1))
    keys = Keyring()
    ledger = recovered(table, keys)
    assert ledger.partition(0).sites[SITE].count_templates(0) == 0
    keys.put(SITE, SealKey.first(MINUTE, bytes(range(ENTROPY_BYTES))))
    ledger.reread()
    assert fold(ledger, 2, requested(keys, "ann", 2)).identity == "same"


def test_paper_of_visitors_whose_key_is_lost_counts_on_no_button_budget() -> None:
    table: dict[bytes, bytes] = {}
    keys = keyring()
    fold(begin(table, keys), 1, requested(keys, "ann", 1))
    site = recovered(table, Keyring()).partition(0).sites[SITE]
    sums = site.requests.sums("gate")
    assert (sums.buttons.after(0), sums.given.after(0)) == (0, 60)


def test_an_unreadable_template_is_decided_by_the_button_rule() -> None:
    keys = keyring()
    answered = fold(begin({}, Keyring()), 1, requested(keys, "ann", 1))
    assert answered.identity == "unreadable"
    assert isinstance(answered.command, Dispense)


def test_a_template_that_was_moved_to_another_request_is_unreadable() -> None:
    keys = keyring()
    stolen = structs.replace(requested(keys, "ann", 2), sealed=requested(keys, "ann", 1).sealed)
    assert fold(begin({}, keys), 1, stolen).identity == "unreadable"
