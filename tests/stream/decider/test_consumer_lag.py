from aiokafka import TopicPartition

from stream_processors.runtime.consumer_lag import ConsumerLag, consumer_lag

FIRST, SECOND, STATES = TopicPartition("events", 0), TopicPartition("events", 1), TopicPartition("states", 0)


def test_a_group_has_to_do_what_lies_between_what_it_reads_next_and_the_end() -> None:
    firsts = {("decider", FIRST): 7, ("decider", SECOND): 5, ("sink", STATES): 3, ("other", FIRST): 9}
    ends = {FIRST: 10, SECOND: 6, STATES: 3}
    ages = {(FIRST, 7): 1.5, (SECOND, 5): 4.0, (FIRST, 9): 0.5}
    assert consumer_lag(firsts, dict.fromkeys(ends, 0), ends, ages) == [
        ConsumerLag(group="decider", topic="events", records=4, seconds=4.0),
        ConsumerLag(group="sink", topic="states", records=0),
        ConsumerLag(group="other", topic="events", records=1, seconds=0.5),
    ]


def test_a_group_that_is_ahead_of_an_end_read_earlier_has_nothing_to_do() -> None:
    assert consumer_lag({("sink", STATES): 4}, {STATES: 0}, {STATES: 3}, {})[0].records == 0


def test_what_kafka_deleted_before_it_was_read_is_lost_and_no_backlog() -> None:
    nexts = {("decider", FIRST): 7, ("decider", SECOND): 5}
    assert consumer_lag(nexts, {FIRST: 9, SECOND: 0}, {FIRST: 10, SECOND: 6}, {(FIRST, 9): 2.0, (SECOND, 5): 4.0}) == [
        ConsumerLag(group="decider", topic="events", records=2, seconds=4.0, lost=2)
    ]
