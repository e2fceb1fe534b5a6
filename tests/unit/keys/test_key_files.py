import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.keys.key_files import (
    KEY_BYTES,
    PIPELINE_KEY,
    SiteKey,
    parse_key,
    parse_site_key,
    pipeline_id,
    site_key_name,
)


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), st.sampled_from(["", "\n", "\r\n", " "]))
def test_a_key_is_read_whatever_ends_its_line(key: bytes, end: str) -> None:
    assert parse_key(key.hex() + end, "pipeline.key") == key
    assert parse_key(key.hex().upper() + end, "pipeline.key") == key


@pytest.mark.parametrize("text", ["", "\n", "c0ffee", "00" * 31, "00" * 33, "zz" * 32, "00" * 31 + "0", "ßß" * 32])
def test_what_is_no_key_is_refused_with_its_file_and_without_its_content(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape("secrets/site-park.key is not a key of 32 bytes")) as error:
        parse_key(text, "secrets/site-park.key")
    assert not text.strip() or text not in str(error.value)


def test_every_site_has_a_file_of_its_own() -> None:
    assert (PIPELINE_KEY, site_key_name("park")) == ("pipeline.key", "site-park.key")


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), st.integers(0, 2**53))
def test_a_site_s_key_is_read_as_it_was_written(key: bytes, epoch: int) -> None:
    assert parse_site_key(str(SiteKey(epoch, key)), "site-park.key") == SiteKey(epoch, key)


def test_a_key_alone_is_that_of_epoch_0() -> None:
    assert parse_site_key("ab" * 32 + "\n", "site-park.key") == SiteKey(0, b"\xab" * 32)


@pytest.mark.parametrize("text", ["", "3", f"-1 {'00' * 32}", f"1.0 {'00' * 32}", f"1 {'00' * 31}", f"1 2 {'00' * 32}"])
def test_what_is_no_site_s_key_is_refused_with_its_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r"site-park\.key is not"):
        parse_site_key(text, "site-park.key")


def test_a_key_is_not_shown_where_values_are_shown() -> None:
    assert repr(SiteKey(3, b"\xab" * 32)) == "SiteKey(epoch=3)"


def test_the_id_of_a_pipeline_depends_on_its_key_and_does_not_contain_it() -> None:
    first, second = pipeline_id(bytes(KEY_BYTES)), pipeline_id(bytes(KEY_BYTES - 1) + b"\1")
    assert first != second
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first not in bytes(KEY_BYTES).hex()
