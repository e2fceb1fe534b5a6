import json

from infra.broker.access import plugin_file
from infra.broker.live import Changes, changes, commands_of
from models.contract.topics import Topics


def test_each_dispenser_has_a_role_of_its_own_and_services_share_theirs() -> None:
    document = json.loads(plugin_file(Topics(), ["ingress-1", "ingress-2"], ["park.gate", "park.lobby"]))
    roles = {client["username"]: client["roles"][0]["rolename"] for client in document["clients"]}
    expected = {"ingress-1": "ingress", "ingress-2": "ingress", "park.gate": "park.gate", "park.lobby": "park.lobby"}
    assert roles == expected
    assert not any(document["defaultACLAccess"][act] for act in ("publishClientSend", "subscribe"))


def test_every_topic_of_a_namespace_is_in_it() -> None:
    topics = Topics("staging")
    document = json.loads(plugin_file(topics, [], ["staging:park.gate"]))
    (gate,) = (role for role in document["roles"] if role["rolename"] == "staging:park.gate")
    assert {acl["topic"].partition("/")[0] for acl in gate["acls"]} == {"staging"}
    assert {acl["topic"] for acl in gate["acls"] if acl["acltype"] == "publishClientSend"} == {
        topics.device("park", "gate", "request"),
        topics.device("park", "gate", "report"),
        topics.device("park", "gate", "state"),
    }


def test_changes_of_a_running_broker() -> None:
    change = changes(["admin", "park.gate", "old"], ["admin", "park.new", "egress-2"])
    assert change == Changes(added=["egress-2", "park.new"], removed=["old", "park.gate"])
    sent = [
        (command["command"], command.get("username", command.get("rolename")))
        for command in commands_of(change, Topics())
    ]
    assert sent == [
        ("deleteClient", "old"),
        ("deleteClient", "park.gate"),
        ("deleteRole", "park.gate"),
        ("createClient", "egress-2"),
        ("createRole", "park.new"),
        ("createClient", "park.new"),
    ]
