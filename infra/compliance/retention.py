"""Statements on where templates are processed, and how long they can be read. Pure."""

from collections.abc import Mapping

from infra.compliance import rules
from infra.compliance.facts import Facts, Seal
from infra.compliance.statement import Line, Section, counsel, judged, passed, unseen
from infra.status.screen import span
from models.contract.topics import KafkaTopic, Topics, kafka_topics
from models.keys.seal_chain import SiteFacts, oldest_needed
from models.ledger.outcomes import Held

__all__ = ["places", "times"]

_SLACK_MS = 5_000
"""A key holder steps its chains every second, and a process that lost it within three (docs/seal-chain.md)."""
_FILING = 100_000


def places(facts: Facts) -> Section:
    """Return the statements on where data is processed; none for a site without faces."""
    lines = [_pictures(facts), _transmission(facts), _filing(facts)]
    return Section(title="Where", lines=lines if facts.captures_faces else [])


def times(facts: Facts) -> Section:
    """Return the statements on retention."""
    always = [_templates(facts), _chain(facts), *_topics(facts)]
    lines = [_window(facts), *always, _held(facts)] if facts.captures_faces else always
    return Section(title="How long", lines=lines)


def _pictures(facts: Facts) -> Line:
    fact, rule, source = "Pictures", rules.DELETION, f"devices/vision/worker.py; {facts.topics.states}, firmware"
    if facts.live is None:
        return unseen(fact, rule, source, "no running pipeline was asked for its dispensers")
    firmwares = {state.firmware for state in facts.live.states.values()}
    if not firmwares:
        return unseen(fact, rule, source, "no dispenser has spoken")
    found = "in the dispenser's memory during a capture, never on its disk or the network"
    if foreign := sorted(firmware for firmware in firmwares if not firmware.startswith("fairroll-")):
        return counsel(fact, found, f"of another maker, who must say so: {', '.join(foreign)}", rule, source)
    return passed(fact, found, "so fairroll's own do", rule, source)


def _transmission(facts: Facts) -> Line:
    return counsel(
        fact="What leaves a dispenser",
        found=f"a template of 64 bytes under the site's key: over MQTT to {facts.mqtt}, then sealed, to Kafka at"
        f" {facts.kafka}",
        why="it is not stored on the device: whose networks these are, and whether consent covers it",
        rule=rules.TRANSMISSION,
        source="FAIRROLL_MQTT, FAIRROLL_KAFKA; docs/contract.md",
    )


def _filing(facts: Facts) -> Line:
    fact, source, most = (
        "How many people",
        f"{facts.topics.decisions}; sites file, most_accounts",
        facts.spec.policy.most_accounts,
    )
    if facts.live is None:
        return unseen(fact, rules.FILING, source)
    traffic, most = facts.live.traffic, facts.spec.policy.most_accounts
    reaches = "one of these reaches" if max(traffic.newcomers, most) >= _FILING else "none of these reaches"
    return counsel(
        fact=fact,
        found=f"{traffic.most_templates:,} at the same time in the last {span(traffic.span_s)}, and never more than"
        f" {most:,} (a setting); in that time {traffic.newcomers:,} counted as new visitors, who may be fewer people",
        why=f"{reaches} {_FILING:,}; how people count who are forgotten within the window, and all sites of the"
        " operator together",
        rule=rules.FILING,
        source=source,
    )


def _window(facts: Facts) -> Line:
    return counsel(
        fact="How long a template may live",
        found=f"{span(facts.spec.policy.window_s)}: as long as a grant counts, a day at most whatever is configured",
        why="whether a shorter time would serve as well",
        rule=rules.RETENTION,
        source=facts.setting("window_s"),
    )


def _templates(facts: Facts) -> Line:
    fact, source, last = "Templates alive", f"{facts.topics.decisions}, the last count; Grafana", facts.counted
    if last is None:
        return unseen(fact, rules.RETENTION, source, facts.uncounted)
    return judged(
        fact,
        f"{last.templates}, the oldest {span(last.oldest_s)} old" if last.templates else "none",
        rules.RETENTION,
        source,
        passes=last.oldest_s <= facts.spec.policy.window_s,
        good="none is older than the window",
        bad="older than the window of the sites file",
    )


def _chain(facts: Facts) -> Line:
    fact, rule = "Since when sealed templates can be read", rules.RETENTION
    source = "fairroll status, seals; docs/seal-chain.md"
    match facts.live.seal if facts.live else None:
        case None:
            return unseen(
                fact, rule, source, "the key holder does not answer" if facts.live else "no pipeline was asked"
            )
        case Seal(site=None):
            return unseen(fact, rule, source, "the key holder does not know the site")
        case Seal(site=SiteFacts(oldest=None, mode=mode)):
            passes, found = mode != "face", "never: the site has no key"
            good, bad = "what was sealed before is noise", "the site works with faces and seals nothing"
        case Seal(at=at, site=SiteFacts(oldest=int() as oldest, mode=mode, destroyed=destroyed)):
            passes = mode == "face" and oldest >= oldest_needed(at - _SLACK_MS, facts.spec.policy.window_s)
            found = f"{span(at / 1000 - 60 * oldest)} ago; older keys are destroyed, {destroyed} chains as a whole"
            good = "a window at most, rounded up to a minute: what is older is noise in every copy"
            bad = "no live template needs a key so old, or the site works without faces"
    return judged(fact, found, rule, source, passes=passes, good=good, bad=bad)


def _held(facts: Facts) -> Line:
    fact, source = "Keys are destroyed at a hold", "fairroll receipts; fairroll status, seals"
    if facts.live is None:
        return unseen(fact, rules.RETENTION, source)
    control, seal = facts.live.control, facts.live.seal
    if control is None or control.mode != "held":
        return unseen(fact, rules.RETENTION, source, "no hold stands now")
    if seal is None or seal.site is None:
        return unseen(fact, rules.RETENTION, source, "the key holder does not know the site")
    holds = [receipt for receipt in facts.live.receipts if isinstance(receipt, Held)]
    erased = f"{holds[-1].templates} templates and {holds[-1].accounts} accounts erased" if holds else "no receipt"
    return judged(
        fact,
        f"held now: {erased}; {'a key is there' if seal.site.chain else 'no key'}",
        rules.RETENTION,
        source,
        passes=bool(holds) and seal.site.chain is None,
        good="accounts and keys are deleted, and a receipt is kept",
        bad="a hold leaves no key and gives a receipt",
    )


def _topics(facts: Facts) -> list[Line]:
    held = _held_in(facts.topics)
    if facts.live:
        return [_topic(wanted, found, held[wanted.name]) for wanted, found in facts.live.topics if wanted.name in held]
    names = [topic.name for topic in kafka_topics(facts.topics, 1, 0) if topic.name in held]
    return [unseen(f"Kafka keeps {name}", rules.RETENTION, _describe(name)) for name in names]


def _held_in(topics: Topics) -> dict[str, str]:
    """Return the personal data in each topic; topics that are not listed have none."""
    return {
        topics.events: "sealed templates",
        topics.accounts_changelog: "sealed templates",
        topics.decisions: "pseudonyms and scores",
        topics.dead_letters: "no person",
        topics.receipts: "operators, no visitor",
    }


def _topic(wanted: KafkaTopic, found: Mapping[str, str], held: str) -> Line:
    """Compare the settings of a topic; a shorter time fails too, since something else is not as planned."""
    different = [
        f"{name} is {found.get(name, 'not set')}, not {value}"
        for name, value in wanted.config.items()
        if found.get(name) != value
    ]
    return judged(
        f"Kafka keeps {wanted.name}",
        f"{_kept(found)}; {held}",
        rules.RETENTION,
        _describe(wanted.name),
        passes=not different,
        good="as fairroll provision sets it",
        bad="; ".join(different),
    )


def _describe(topic: str) -> str:
    return f"kafka-configs --describe --topic {topic}"


def _kept(found: Mapping[str, str]) -> str:
    if found.get("cleanup.policy") == "compact":
        lag_s = int(found.get("max.compaction.lag.ms", "0")) / 1000
        return f"the last row of each account, older ones {span(lag_s)} at most until they may be compacted"
    kept_ms = int(found.get("retention.ms", "-1"))
    return f"{span(kept_ms / 1000)}, then segments are deleted" if kept_ms >= 0 else "without end"
