"""`fairroll ca` and `dispenser enroll`, as they are typed."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from devices.enrolment.command import enroll
from infra.ca.authority_folder import Issued, ending
from infra.commands.setup.ca import ca
from models.errors import ConfigError
from models.pki.bundle import parse_control_keys

_SECRETS = (".key", "index.json")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAIRROLL_SECRETS", str(tmp_path / "device"))
    runner = CliRunner()
    _done(runner.invoke(ca, ["init"]))
    return runner


def _done(result: Result) -> list[str]:
    assert not result.exception, result.exception
    return result.output.splitlines()


def _refused(result: Result, words: str) -> None:
    assert isinstance(result.exception, ConfigError), result.output
    assert words in str(result.exception)


def _enrolled(typed: CliRunner) -> str:
    """Enrol park gate; returns its serial number."""
    *_, shown = _done(typed.invoke(enroll, ["park", "gate"]))[1].partition(": ")
    _done(typed.invoke(ca, ["sign", "park.gate", "device/mqtt/park.gate.csr", "--fingerprint", shown]))
    _done(typed.invoke(enroll, ["park", "gate", "--bundle", "park.gate.bundle.pem"]))
    return f"{x509.load_pem_x509_certificate(Path('device/mqtt/park.gate.pem').read_bytes()).serial_number:x}"


def _crl() -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(Path(".local/ca/crl.pem").read_bytes())


def test_a_dispenser_gets_its_certificate_and_its_key_stays_private(typed: CliRunner) -> None:
    serial = _enrolled(typed)
    lines = _done(typed.invoke(ca, ["list"]))
    assert any("park.gate" in line and "valid" in line and serial in line for line in lines)
    private = [path for path in Path().rglob("*") if path.name.endswith(_SECRETS)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert len(private) == 4  # of the authority: its key, the key of controls, the index
    assert stat.S_IMODE(Path("device/mqtt").stat().st_mode) == 0o700
    assert b"PRIVATE" not in Path("park.gate.bundle.pem").read_bytes()


def test_a_new_certificate_keeps_the_key(typed: CliRunner) -> None:
    first, key = _enrolled(typed), Path("device/mqtt/park.gate.key").read_bytes()
    assert _enrolled(typed) != first
    assert Path("device/mqtt/park.gate.key").read_bytes() == key


def test_a_revoked_certificate_is_in_the_crl_and_cannot_be_revoked_twice(typed: CliRunner) -> None:
    serial = _enrolled(typed)
    assert not list(_crl())
    _done(typed.invoke(ca, ["revoke", "park.gate"]))
    assert [f"{each.serial_number:x}" for each in _crl()] == [serial]
    _refused(typed.invoke(ca, ["revoke", "park.gate"]), "left to revoke")
    _done(typed.invoke(ca, ["crl"]))
    assert [f"{each.serial_number:x}" for each in _crl()] == [serial]


def test_one_of_two_certificates_is_revoked_by_its_serial_number(typed: CliRunner) -> None:
    first, second = _enrolled(typed), _enrolled(typed)
    _done(typed.invoke(ca, ["revoke", first]))
    assert [f"{each.serial_number:x}" for each in _crl()] == [first]
    states = {each["serial"]: each["revoked_at"] for each in json.loads(Path(".local/ca/index.json").read_text())}
    assert states[first]
    assert not states[second]


def test_a_request_of_another_device_is_not_signed(typed: CliRunner) -> None:
    _done(typed.invoke(enroll, ["park", "gate"]))
    sign = ["sign", "park.lobby", "device/mqtt/park.gate.csr"]
    _refused(typed.invoke(ca, sign), "not for park.lobby")
    sign = ["sign", "park.gate", "device/mqtt/park.gate.csr", "--fingerprint", "0000 1111"]
    _refused(typed.invoke(ca, sign), "was not made by that device")
    assert "park.gate" not in Path(".local/ca/index.json").read_text()


def test_a_bundle_for_another_key_changes_nothing(typed: CliRunner) -> None:
    _enrolled(typed)
    before = Path("device/mqtt/park.gate.pem").read_bytes()
    Path("device/mqtt/park.gate.key").unlink()
    _done(typed.invoke(enroll, ["park", "gate"]))
    _refused(typed.invoke(enroll, ["park", "gate", "--bundle", "park.gate.bundle.pem"]), "another key")
    assert Path("device/mqtt/park.gate.pem").read_bytes() == before


def test_a_service_gets_its_certificate(typed: CliRunner) -> None:
    _done(typed.invoke(ca, ["request", "ingress-1"]))
    _done(typed.invoke(ca, ["sign", "ingress-1", "mqtt/ingress-1.csr"]))
    _done(typed.invoke(ca, ["request", "broker"]))
    _refused(typed.invoke(ca, ["sign", "broker", "mqtt/broker.csr"]), "--host")
    _refused(typed.invoke(ca, ["sign", "ingress-1", "mqtt/ingress-1.csr", "--host", "x"]), "--host")
    _done(typed.invoke(ca, ["sign", "broker", "mqtt/broker.csr", "--host", "127.0.0.1", "--host", "mqtt.example"]))
    broker = x509.load_pem_x509_certificate(Path("broker.bundle.pem").read_bytes())
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mqtt.example"]


def test_an_authority_is_made_once_and_is_private(typed: CliRunner) -> None:
    _refused(typed.invoke(ca, ["init"]), "holds an authority already")
    _refused(typed.invoke(ca, ["list", "--ca", "nowhere"]), "no authority in nowhere")
    Path(".local/ca").chmod(0o755)
    _refused(typed.invoke(ca, ["list"]), "is open to others")


def test_names_that_no_pipeline_knows_are_refused(typed: CliRunner) -> None:
    _refused(typed.invoke(ca, ["request", "mallory"]), "a dispenser is SITE.DEVICE")
    _refused(typed.invoke(enroll, ["park", "../gate"]), "names are lower-case")


def test_the_key_of_controls_is_replaced_next_to_the_old_one(typed: CliRunner) -> None:
    (old,) = parse_control_keys(Path(".local/ca/control.pem").read_bytes())
    for _ in range(2):
        _done(typed.invoke(ca, ["control-key"]))
        new, before = parse_control_keys(Path(".local/ca/control.pem").read_bytes())
        assert before == old
        assert new != old
        old = new
    _enrolled(typed)
    assert Path("device/mqtt/control.pem").read_bytes() == Path(".local/ca/control.pem").read_bytes()


def test_names_whose_last_certificate_ends_soon_are_listed_for_a_timer(typed: CliRunner) -> None:
    _enrolled(typed)
    assert typed.invoke(ca, ["list", "--ending", "29"]).exit_code == 0
    due = typed.invoke(ca, ["list", "--ending", "31"])
    assert due.exit_code == 1
    assert "park.gate" in due.output


def test_of_a_renewed_name_only_the_last_certificate_counts() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    old, new, other = (
        Issued(serial=serial, name=name, not_after=now + timedelta(days=days))
        for serial, name, days in (("1", "park.gate", 3), ("2", "park.gate", 30), ("3", "park.lobby", 6))
    )
    gone = Issued(serial="4", name="hall.door", not_after=now + timedelta(days=2), revoked_at=now)
    assert ending([new, other, old, gone], now, timedelta(days=7)) == [other]
    assert ending([other, old], now, timedelta(days=7)) == [old, other]


def _token(typed: CliRunner, name: str = "park.gate") -> str:
    return _done(typed.invoke(ca, ["invite", name]))[0].removeprefix("token: ")


def test_a_one_time_token_replaces_the_fingerprint_once(typed: CliRunner) -> None:
    token, sign = _token(typed), ["sign", "park.gate", "device/mqtt/park.gate.csr"]
    _done(typed.invoke(enroll, ["park", "gate", "--token", token.lower()]))
    assert token.replace(" ", "").encode() not in Path("device/mqtt/park.gate.csr").read_bytes()
    _done(typed.invoke(ca, sign))
    _refused(typed.invoke(ca, sign), "no invitation of park.gate fits")
    assert stat.S_IMODE(Path(".local/ca/invitations.json").stat().st_mode) == 0o600


def test_a_wrong_token_and_that_of_another_name_are_refused(typed: CliRunner) -> None:
    _token(typed)
    for token in ("AAAA BBBB CCCC DDDD", _token(typed, "park.lobby")):
        _done(typed.invoke(enroll, ["park", "gate", "--token", token]))
        _refused(
            typed.invoke(ca, ["sign", "park.gate", "device/mqtt/park.gate.csr"]), "no invitation of park.gate fits"
        )


def test_a_newer_invitation_ends_the_earlier_one(typed: CliRunner) -> None:
    first, _ = _token(typed), _token(typed)
    _done(typed.invoke(enroll, ["park", "gate", "--token", first]))
    _refused(typed.invoke(ca, ["sign", "park.gate", "device/mqtt/park.gate.csr"]), "no invitation of park.gate fits")
