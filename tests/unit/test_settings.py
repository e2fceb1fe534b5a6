from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.process.mqtt_tls import MqttTls
from models.settings import Settings, host_and_port


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environ({}) == Settings()


def test_variables_are_named_after_the_fields_and_others_are_nobody_s_business() -> None:
    environ = {"FAIRROLL_MQTT": "broker:8883", "FAIRROLL_PARTITIONS": "8", "FAIRROLL_SITES": "/a/b.toml", "MQTT": "?"}
    settings = Settings.from_environ(environ)
    assert (settings.mqtt, settings.partitions, settings.sites) == ("broker:8883", 8, Path("/a/b.toml"))
    assert settings.kafka == Settings().kafka


def test_metrics_of_a_namespace_go_to_a_bucket_of_its_name_unless_another_is_set() -> None:
    staging = {"FAIRROLL_NAMESPACE": "staging"}
    assert Settings.from_environ(staging).influx_bucket == "staging"
    assert Settings.from_environ(staging | {"FAIRROLL_INFLUX_BUCKET": "city"}).influx_bucket == "city"
    assert Settings.from_environ(staging).topics.events == "staging.events"


def test_one_setting_names_the_certificate_of_each_client() -> None:
    environ = {"FAIRROLL_MQTT_CA": "ca.pem", "FAIRROLL_MQTT_CERT": "{name}.pem", "FAIRROLL_MQTT_KEY": "{name}.key"}
    files = Settings.from_environ(environ | {"FAIRROLL_NAMESPACE": "staging"}).mqtt_tls("park.gate")
    assert files == MqttTls(ca=Path("ca.pem"), cert=Path("staging:park.gate.pem"), key=Path("staging:park.gate.key"))
    assert Settings.from_environ({}).mqtt_tls("park.gate") is None
    with pytest.raises(ConfigError, match="without FAIRROLL_MQTT_CA"):
        Settings.from_environ(environ | {"FAIRROLL_MQTT_CA": ""})


@given(st.integers(1, 256), st.text("abc/._-", min_size=1), st.integers(1, 65_535))
def test_a_child_process_gets_the_same_settings(partitions: int, path: str, port: int) -> None:
    settings = Settings(partitions=partitions, sites=Path(path), kafka=f"[::1]:{port}", instance=path)
    assert Settings.from_environ(settings.to_environ()) == settings


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("FAIRROLL_NAMESPACE", "Stag/ing", "FAIRROLL_NAMESPACE='Stag/ing'"),
        ("FAIRROLL_NAMESPACE", "", "is empty: unset it"),
        ("FAIRROLL_HEALTH", "9101", "is not host:port"),
        ("FAIRROLL_HEALTH", "127.0.0.1:0", "is not host:port"),
        ("FAIRROLL_SERVICES", "", "is empty: unset it"),
        ("FAIRROLL_SERVICES", "127.0.0.1:9101,here", "='here' is not host:port"),
        ("FAIRROLL_SERVICES", "127.0.0.1:9101,", "='' is not host:port"),
        ("FAIRROLL_PARTITIONS", "many", "`int`"),
        ("FAIRROLL_PARTITIONS", "0", ">= 1"),
        ("FAIRROLL_PARTITIONS", "257", "<= 256"),
        ("FAIRROLL_PARTITIONS", "", "is empty: unset it"),
        ("FAIRROLL_MQTT", "", "is empty: unset it"),
        ("FAIRROLL_MQTT_CERT", "cert.pem", "FAIRROLL_MQTT_CERT is given without FAIRROLL_MQTT_KEY"),
        ("FAIRROLL_MQTT_KEY", "key.pem", "FAIRROLL_MQTT_KEY is given without FAIRROLL_MQTT_CERT"),
        ("FAIRROLL_MQTT", "broker", "is not host:port"),
        ("FAIRROLL_MQTT", ":1883", "is not host:port"),
        ("FAIRROLL_MQTT", "broker:", "is not host:port"),
        ("FAIRROLL_MQTT", "broker:mqtt", "is not host:port"),
        ("FAIRROLL_KEYS", "", "is empty: unset it"),
        ("FAIRROLL_KEYS", "/run/keys", "is neither unix:/folder nor tls://host:port"),
        ("FAIRROLL_KEYS", "unix:keys", "is neither unix:/folder nor tls://host:port"),
        ("FAIRROLL_KEYS", "tls:host:1", "is neither unix:/folder nor tls://host:port"),
        ("FAIRROLL_KEYS", "http://host:1", "is neither unix:/folder nor tls://host:port"),
        ("FAIRROLL_KEYS", "unix:/run/keys,tls://host", "='host' is not host:port"),
        ("FAIRROLL_KAFKA", "broker:0", "is not host:port"),
        ("FAIRROLL_KAFKA", "broker:65536", "is not host:port"),
        ("FAIRROLL_INFLUX_URL", "localhost:8086", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://host:99999", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://host:0", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://host:influx", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://[::1", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://host name", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "http://host?org=me", "is not http://host:port"),
        ("FAIRROLL_INFLUX_URL", "ftp://host", "is not http://host:port"),
        ("FAIRROLL_INFLUX_TOKEN", "token\n", "holds a space, a line break"),
        ("FAIRROLL_INFLUX_BUCKET", "up/autogen", "is not a name of letters"),
        ("FAIRROLL_INFLUX_BUCKET", "_monitoring", "is not a name of letters"),
        ("FAIRROLL_INFLUX_BUCKET", 'a"b', "is not a name of letters"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        Settings.from_environ({variable: text})
    assert str(error.value).startswith(variable)
    assert expected in str(error.value)


def test_health_may_be_reported_nowhere() -> None:
    assert Settings.from_environ({"FAIRROLL_HEALTH": ""}).health == ""


def test_services_are_addresses_between_commas() -> None:
    settings = Settings.from_environ({"FAIRROLL_SERVICES": "a:1, b:2,[::1]:3"})
    assert [host_and_port(address) for address in settings.service_addresses] == [("a", 1), ("b", 2), ("::1", 3)]


def test_a_key_holder_may_listen_at_several_addresses() -> None:
    settings = Settings.from_environ({"FAIRROLL_KEYS": "unix:/run/keys, tls://[::1]:9106"})
    assert settings.key_addresses == ["unix:/run/keys", "tls://[::1]:9106"]


@pytest.mark.parametrize(("given", "missing"), [("USER", "PASSWORD"), ("PASSWORD", "USER")])
def test_a_kafka_user_without_a_password_is_named_and_the_other_way_round(given: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"FAIRROLL_KAFKA_{given} is given without FAIRROLL_KAFKA_{missing}"):
        Settings.from_environ({f"FAIRROLL_KAFKA_{given}": "replay"})


def test_all_that_may_be_wrong_with_kafka_is_named() -> None:
    assert Settings().kafka_named == "127.0.0.1:9092 (FAIRROLL_KAFKA)"
    settings = Settings(kafka_user="replay", kafka_password="secret", kafka_ca="/ca.pem")  # noqa: S106 - no secret
    assert settings.kafka_named == (
        "127.0.0.1:9092 (FAIRROLL_KAFKA) as replay (FAIRROLL_KAFKA_USER, FAIRROLL_KAFKA_PASSWORD)"
        " by TLS (FAIRROLL_KAFKA_CA=/ca.pem)"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:8086/", "http://host:8086"),
        ("https://[::1]:8086/influx/", "https://[::1]:8086/influx"),
        ("http://influx.example", "http://influx.example"),
    ],
)
def test_the_url_of_influxdb_may_have_a_path_and_loses_the_slash_at_its_end(text: str, expected: str) -> None:
    assert Settings.from_environ({"FAIRROLL_INFLUX_URL": text}).influx_url == expected


def test_what_is_secret_in_a_wrong_setting_is_not_shown() -> None:
    for variable, text in (("FAIRROLL_INFLUX_URL", "http://me:hush@host"), ("FAIRROLL_INFLUX_TOKEN", "hush hush")):
        with pytest.raises(ConfigError, match=variable) as error:
            Settings.from_environ({variable: text})
        assert "hush" not in str(error.value)
