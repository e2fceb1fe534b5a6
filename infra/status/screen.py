"""How the whole is, on one screen."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rich.console import RenderableType
from rich.text import Text

from infra.status.report import Broker, Dispenser, Service, Status, last_faults
from infra.tables import Table, stacked
from models.keys.seal_chain import SitesReply
from stream_processors.runtime.consumer_lag import ConsumerLag

__all__ = ["screen", "span"]

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_MOST_ROWS = 5
"""of faults and of reasons"""
_MOST_NAMES = 6


def screen(status: Status) -> RenderableType:
    """Tables in the order in which an operator needs them; the last line is the verdict."""
    tables = [_parts(status.services, status.brokers)]
    if status.kafka:
        tables += [_backlogs(status.kafka.backlogs, status.kafka.rates), _dispensers(status.kafka.dispensers)]
        tables += [_reasons(status.kafka.dead_letters), _unreadable(status.kafka.unreadable)]
    tables += [_seals(status.seals)] if status.seals else []
    tables.append(_faults(status.services))
    return stacked(*tables, _judgement(status.problems))


def span(seconds: float) -> str:
    """Return a duration in its two largest units, such as `3 h 20 min`."""
    left, words = int(seconds), []
    for name, size in _UNITS:
        count, left = divmod(left, size)
        words += [f"{count} {name}"] if count else []
    return " ".join(words[:2]) or "0 s"


def _parts(services: Iterable[Service], brokers: Iterable[Broker]) -> Table:
    table = Table("service", "address", "state", "up for", "counts since then")
    for broker in brokers:
        table.add_row(broker.name, broker.address, _state("does not answer" if broker.fault else "ready"))
    for service in services:
        table.add_row(*_service(service))
    return table


def _service(service: Service) -> tuple[str | Text, ...]:
    vitals = service.vitals
    if vitals is None:
        return "?", service.address, _state("does not answer")
    state = "stuck" if not vitals.alive else "ready" if vitals.ready else "not ready"
    counts = ", ".join(f"{number} {name}" for name, number in vitals.counts.items() if number)
    return f"{vitals.service} {vitals.instance}", service.address, _state(state), span(vitals.up_s), Text(counts)


def _state(word: str) -> Text:
    return Text(word, "green" if word == "ready" else "bold red")


def _backlogs(backlogs: Iterable[ConsumerLag], rates: Mapping[str, float]) -> Table:
    table = Table("consumer group", "reads", "still to do", "records a second")
    for backlog in backlogs:
        rate = rates.get(backlog.topic)
        row = _short(backlog.group), _short(backlog.topic), str(backlog.records)
        table.add_row(*row, "" if rate is None else str(rate))
    return table


def _short(name: str) -> str:
    """A topic or group without its namespace, which has no dots."""
    return name.partition(".")[2]


def _dispensers(dispensers: Iterable[Dispenser]) -> Table:
    table = Table("site", "dispensers", "online", "offline", "never seen")
    sites: defaultdict[str, list[Dispenser]] = defaultdict(list)
    for dispenser in dispensers:
        sites[dispenser.site].append(dispenser)
    for site, those in sites.items():
        online = sum(dispenser.is_online is True for dispenser in those)
        offline = [f"{d.device} for {span(d.since_s or 0)}" for d in those if d.is_online is False]
        never = [d.device for d in those if d.is_online is None]
        table.add_row(site, str(len(those)), str(online), _names(offline), _names(never))
    return table


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def _seals(reply: SitesReply) -> Table:
    table = Table("site", "seal chain", "for", "readable back to", "destroyed")
    for site, facts in sorted(reply.sites.items()):
        since = span((reply.at - facts.since) / 1000)
        back = f"{span(reply.at / 1000 - 60 * facts.oldest)} ago" if facts.oldest is not None else ""
        table.add_row(site, facts.chain or f"none: {facts.mode}", since, back, str(facts.destroyed))
    return table


def _reasons(dead_letters: dict[str, int]) -> Table:
    table = Table("letters", "reason", title="dead letters of the last hour")
    for reason, count in list(dead_letters.items())[:_MOST_ROWS]:
        table.add_row(str(count), Text(reason))
    return table


def _unreadable(names: list[str]) -> Table:
    table = Table("record", title="records that this version cannot read, and leaves out")
    for name in names[:_MOST_ROWS]:
        table.add_row(Text(name))
    if len(names) > _MOST_ROWS:
        table.add_row(f"and {len(names) - _MOST_ROWS} more")
    return table


def _faults(services: Iterable[Service]) -> Table:
    table = Table("last fault", "of", "what")
    for ago_s, part, text in last_faults(services)[:_MOST_ROWS]:
        table.add_row(f"{span(ago_s)} ago", part, Text(text))
    return table


def _judgement(problems: list[str]) -> Text:
    """A line for each problem."""
    lines = "\n".join(f"not well: {problem}" for problem in problems)
    return Text(lines, "bold red") if problems else Text("all is well", "green")
