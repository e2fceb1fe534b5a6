"""What egress publishes, from the controls in Kafka and those that the broker retains."""

from stream_processors.egress.retained import Publication, Retained

FACE, HELD = b'{"mode":"face"}', b'{"mode":"held"}'


class Broker:
    """Retains what is published, and notifies every watcher."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self.history: list[bytes] = []
        self.watching: list[Retained] = []

    def publish(self, site: str, payload: bytes) -> None:
        self.retained[site] = payload
        self.history.append(payload)
        for retained in self.watching:
            retained.find(site, payload)

    def watch(self, retained: Retained) -> None:
        self.watching.append(retained)
        for site, payload in self.retained.items():
            retained.find(site, payload)

    def settle(self, retained: Retained, now: float) -> list[Publication]:
        due = retained.due(now)
        for publication in due:
            self.publish(publication.site, publication.payload)
            retained.publish(publication, now)
        return due


def watched() -> tuple[Broker, Retained]:
    broker, retained = Broker(), Retained()
    broker.watch(retained)
    return broker, retained


def test_what_kafka_says_is_published_once() -> None:
    broker, retained = watched()
    retained.want("park", FACE)
    assert broker.settle(retained, 0.0) == [Publication("park", FACE, is_repair=False)]
    retained.want("park", FACE)
    assert broker.settle(retained, 9.0) == []


def test_what_the_broker_retains_already_is_not_published_again() -> None:
    broker, retained = watched()
    broker.publish("park", FACE)
    retained.want("park", FACE)
    assert broker.settle(retained, 0.0) == []


def test_a_change_goes_out_at_once_and_a_repair_after_the_copies_of_before_have_come() -> None:
    broker, retained = watched()
    retained.want("park", FACE)
    broker.settle(retained, 0.0)
    retained.want("park", HELD)
    assert broker.settle(retained, 0.1) == [Publication("park", HELD, is_repair=False)]
    broker.publish("park", FACE)
    assert broker.settle(retained, 0.2) == []
    assert broker.settle(retained, 2.2) == [Publication("park", HELD, is_repair=True)]
    assert broker.retained["park"] == HELD


def test_a_copy_of_what_was_retained_before_the_publication_causes_no_repair() -> None:
    broker, retained = watched()
    retained.want("park", HELD)
    broker.settle(retained, 0.0)
    for payload in (FACE, HELD):  # as the broker had them, in its order
        retained.find("park", payload)
    assert retained.due(9.0) == []


def test_a_cleared_topic_is_filled_again() -> None:
    broker, retained = watched()
    retained.want("park", HELD)
    broker.settle(retained, 0.0)
    broker.publish("park", b"")
    assert broker.settle(retained, 3.0) == [Publication("park", HELD, is_repair=True)]


def test_the_control_of_a_removed_site_is_withdrawn() -> None:
    broker, retained = watched()
    broker.publish("park", FACE)
    retained.want("park", b"")
    assert broker.settle(retained, 0.0) == [Publication("park", b"", is_repair=False)]
    assert broker.settle(retained, 9.0) == []


def test_a_control_that_kafka_does_not_know_is_withdrawn_and_nothing_of_it_is_kept() -> None:
    broker, retained = watched()
    for number in range(1000):
        broker.publish(f"made-up-{number}", FACE)
    assert [publication.is_repair for publication in broker.settle(retained, 0.0)] == [True] * 1000
    assert broker.settle(retained, 9.0) == []
    assert not retained._found  # noqa: SLF001 - what it holds is the point
    assert not retained._published  # noqa: SLF001 - see above


def test_a_control_that_cannot_be_read_is_left_to_others() -> None:
    broker, retained = watched()
    retained.want("park", FACE)
    broker.settle(retained, 0.0)
    retained.want("park", None)
    broker.publish("park", b"a newer one")
    assert broker.settle(retained, 9.0) == []


def test_of_two_the_one_that_was_late_gives_way_once_both_know_the_same() -> None:
    broker, early = watched()
    late = Retained()
    early.want("park", HELD)
    late.want("park", FACE)
    broker.settle(early, 0.0)
    broker.watch(late)
    broker.settle(late, 0.1)  # it has not read the newer one yet
    late.want("park", HELD)
    for now in (0.2, 0.7, 2.3, 3.0, 9.0):
        broker.settle(early, now)
        broker.settle(late, now)
    assert broker.retained["park"] == HELD
    assert broker.history.count(FACE) == 1


def test_two_that_disagree_overwrite_each_other_seldom() -> None:
    broker, one = watched()
    other = Retained()
    broker.watch(other)
    one.want("park", FACE)
    other.want("park", HELD)
    for tick in range(600):
        broker.settle(one, tick / 10)
        broker.settle(other, tick / 10)
    assert len(broker.history) <= 62
