from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from models.pki.certificates import certificate_request
from models.pki.invitations import INVITED_FOR, Invitation, is_invited, proof, proof_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
INVITATION = Invitation(name="park.gate", token="ABCDEFGHIJKLMNOP", until=NOW + INVITED_FOR)  # noqa: S106 - of this test


def test_a_proof_fits_one_key_one_name_and_one_week() -> None:
    key, other = (generate_private_key(SECP256R1()).public_key() for _ in range(2))
    shown = proof("abcd efgh ijkl mnop", key)
    assert is_invited(INVITATION, "park.gate", shown, key, NOW)
    assert is_invited(INVITATION, "park.gate", shown, key, INVITATION.until)
    assert not is_invited(INVITATION, "park.gate", shown, other, NOW)
    assert not is_invited(INVITATION, "park.lobby", shown, key, NOW)
    assert not is_invited(INVITATION, "park.gate", proof("", key), key, NOW)
    assert not is_invited(INVITATION, "park.gate", shown, key, NOW + 2 * INVITED_FOR)


def test_a_request_carries_the_proof() -> None:
    key = generate_private_key(SECP256R1())
    assert proof_of(certificate_request(key, "park.gate")) == ""
    assert proof_of(certificate_request(key, "park.gate", "p" * 64)) == "p" * 64
