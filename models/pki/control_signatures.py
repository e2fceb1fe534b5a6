"""Signatures of controls (Ed25519, RFC 8032): a dispenser obeys controls that egress signed, published by any client.

A signed control is the control's JSON with one more field at its end, `signature`, whose text has a fixed length. So
the last 104 bytes are the signature, and what was signed is the topic, a zero byte, and the rest with its closing
brace: no canonical form of JSON is needed. The topic binds it to namespace, version and site, the revision in the
control to its order.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from models.errors import MalformedMessage

__all__ = ["sign_control", "verified_control", "without_signature"]

_BEFORE: Final = b',"signature":"'
_AFTER: Final = b'"}'
_DIGITS: Final = 88
"""64 bytes in base64"""
_TRAILER: Final = len(_BEFORE) + _DIGITS + len(_AFTER)


def sign_control(key: Ed25519PrivateKey, topic: str, control: bytes) -> bytes:
    """Return the control with its signature. The same control gets the same bytes: Ed25519 uses no randomness."""
    return control.removesuffix(b"}") + _BEFORE + base64.b64encode(key.sign(_signed(topic, control))) + _AFTER


def verified_control(keys: Iterable[Ed25519PublicKey], topic: str, payload: bytes) -> bytes:
    """Return the control that one of the keys signed for this topic; raises MalformedMessage if none did."""
    control, trailer = without_signature(payload), payload[-_TRAILER:]
    if control == payload:
        raise MalformedMessage("it is not signed")
    signature = _signature(trailer[len(_BEFORE) : -len(_AFTER)])
    if not any(_is_valid(key, signature, _signed(topic, control)) for key in keys):
        raise MalformedMessage("its signature is of no key that this dispenser trusts")
    return control


def without_signature(payload: bytes) -> bytes:
    """Return the control of a payload, which may be signed; the signature is not verified."""
    trailer = payload[-_TRAILER:]
    is_signed = len(payload) > _TRAILER and trailer.startswith(_BEFORE) and trailer.endswith(_AFTER)
    return payload[:-_TRAILER] + b"}" if is_signed else payload


def _signed(topic: str, control: bytes) -> bytes:
    return topic.encode() + b"\0" + control


def _signature(digits: bytes) -> bytes:
    try:
        return base64.b64decode(digits, validate=True)
    except binascii.Error:
        raise MalformedMessage("its signature is no base64") from None


def _is_valid(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
