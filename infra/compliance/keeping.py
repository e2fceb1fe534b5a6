"""Lines about where templates go, and how long they can be read. Pure."""

from collections.abc import Mapping

from infra.compliance import rules
from infra.compliance.facts import Facts, Seal
from infra.compliance.line import Line, Section, unseen
from infra.status_screen import span
from models.chains import oldest_needed
from models.outcomes import Held
from models.topics import ACCOUNTS_CHANGELOG, DEAD_LETTERS, DECISIONS, EVENTS, RECEIPTS, KafkaTopic, kafka_topics

__all__ = ["places", "times"]

_SLACK_MS = 5_000
"""A holder steps its chains every second or so, and a process that lost it within three (docs/seal-chain.md)."""
_FILING = 100_000
_KEEPS = {
    EVENTS: "sealed templates",
    ACCOUNTS_CHANGELOG: "sealed templates",
    DECISIONS: "pseudonyms and scores",
    DEAD_LETTERS: "no person",
    RECEIPTS: "operators, no visitor",
}
"""What a topic holds of people; those that are not named hold nothing."""


def places(facts: Facts) -> Section:
    """Where it is processed."""
    lines = [_pictures(facts), _transmission(facts), _filing(facts)]
    return Section(title="Where", lines=lines if facts.looks else [])


def times(facts: Facts) -> Section:
    """How long."""
    always = [_templates(facts), _chain(facts), *_topics(facts)]
    lines = [_window(facts), *always, _held(facts)] if facts.looks else always
    return Section(title="How long", lines=lines)


def _pictures(facts: Facts) -> Line:
    fact, source = "Pictures", "devices/eye.py; fairroll.states, firmware"
    if facts.live is None:
        return unseen(fact, rules.DELETION, source, "which dispensers there are was not asked")
    firmwares = {state.firmware for state in facts.live.states.values()}
    if not firmwares:
        return unseen(fact, rules.DELETION, source, "no dispenser has spoken")
    foreign = sorted(firmware for firmware in firmwares if not firmware.startswith("fairroll-"))
    return Line(
        fact=fact,
        found="in the dispenser's memory until the look is over, never on its disk or the network",
        verdict="needs counsel" if foreign else "pass",
        why=f"of another maker, who must say so: {', '.join(foreign)}" if foreign else "so fairroll's own do",
        rule=rules.DELETION,
        source=source,
    )


def _transmission(facts: Facts) -> Line:
    return Line(
        fact="What leaves a dispenser",
        found=f"a template of 64 bytes under the site's key: over MQTT to {facts.mqtt}, then sealed, to Kafka at"
        f" {facts.kafka}",
        verdict="needs counsel",
        why="it is not stored on the device: whose networks these are, and whether consent covers it",
        rule=rules.TRANSMISSION,
        source="FAIRROLL_MQTT, FAIRROLL_KAFKA; docs/contract.md",
    )


def _filing(facts: Facts) -> Line:
    policy, live = facts.spec.policy, facts.live
    fact, source = "How many people", "fairroll.decisions; sites file, most_accounts"
    at_once = f"at most {policy.most_accounts:,} remembered at once (a setting)"
    if live is None:
        return unseen(fact, rules.FILING, source)
    told, traffic = live.traffic.counted, live.traffic
    alive = told.templates if told else "?"
    many = traffic.newcomers >= _FILING or policy.most_accounts >= _FILING
    return Line(
        fact=fact,
        found=f"{alive} now, {traffic.most_templates} at most in the last {span(traffic.span_s)}; {at_once};"
        f" {traffic.newcomers} taken for somebody new in that time, who may be fewer people",
        verdict="needs counsel",
        why=("one of these reaches 100,000: " if many else "none of these reaches 100,000, but ")
        + "how people count who are forgotten within the window, and all sites of the operator together",
        rule=rules.FILING,
        source=source,
    )


def _window(facts: Facts) -> Line:
    return Line(
        fact="How long a template may live",
        found=f"{span(facts.spec.policy.window_s)}: as long as a grant counts, a day at most whatever is configured",
        verdict="needs counsel",
        why="whether a shorter time would serve as well",
        rule=rules.RETENTION,
        source=f"{facts.sites_file}, sites.{facts.site}, window_s",
    )


def _templates(facts: Facts) -> Line:
    fact, source = "Templates alive", "fairroll.decisions, the last count; Grafana"
    told = facts.live.traffic.counted if facts.live else None
    if told is None:
        why = "no count in the last day: does a decider run?" if facts.live else "no running pipeline was asked"
        return unseen(fact, rules.RETENTION, source, why)
    in_time = told.oldest_s <= facts.spec.policy.window_s
    return Line(
        fact=fact,
        found=f"{told.templates}, the oldest {span(told.oldest_s)} old" if told.templates else "none",
        verdict="pass" if in_time else "fail",
        why="none is older than the window" if in_time else "older than the window that the file says",
        rule=rules.RETENTION,
        source=source,
    )


def _chain(facts: Facts) -> Line:
    fact, source = "Since when sealed templates can be read", "fairroll status, seals; docs/seal-chain.md"
    seal = facts.live.seal if facts.live else None
    if seal is None:
        why = "the key holder does not answer" if facts.live else "no running pipeline was asked"
        return unseen(fact, rules.RETENTION, source, why)
    if seal.site is None:
        return unseen(fact, rules.RETENTION, source, "the key holder does not know the site")
    if seal.site.oldest is None:
        wrong = seal.site.mode == "face"
        return Line(
            fact=fact,
            found="never: the site has no key",
            verdict="fail" if wrong else "pass",
            why="the site works with faces and seals nothing" if wrong else "what was sealed before is noise",
            rule=rules.RETENTION,
            source=source,
        )
    age_s = seal.at / 1000 - 60 * seal.site.oldest
    is_right = _is_right(facts, seal)
    return Line(
        fact=fact,
        found=f"{span(age_s)} ago; older keys are destroyed, {seal.site.destroyed} chains as a whole",
        verdict="pass" if is_right else "fail",
        why="a window at most, rounded up to a minute: what is older is noise in every copy"
        if is_right
        else "no live template needs a key so old, or the site works without faces",
        rule=rules.RETENTION,
        source=source,
    )


def _is_right(facts: Facts, seal: Seal) -> bool:
    """Whether the chain holds no key that no live template needs."""
    if seal.site is None or seal.site.oldest is None or seal.site.mode != "face":
        return False
    return seal.site.oldest >= oldest_needed(seal.at - _SLACK_MS, facts.spec.policy.window_s)


def _held(facts: Facts) -> Line:
    fact, source = "Keys are destroyed at a hold", "fairroll receipts; fairroll status, seals"
    if facts.live is None:
        return unseen(fact, rules.RETENTION, source)
    holds = [receipt for receipt in facts.live.receipts if isinstance(receipt, Held)]
    control, seal = facts.live.control, facts.live.seal
    if control is None or control.mode != "held" or seal is None or seal.site is None:
        why = "no hold stands now" if control and control.mode != "held" else "nobody told"
        return unseen(fact, rules.RETENTION, source, f"{why}; {len(holds)} held before" if holds else why)
    last = f"{holds[-1].templates} templates and {holds[-1].accounts} accounts erased" if holds else "no receipt"
    done = seal.site.chain is None and bool(holds)
    return Line(
        fact=fact,
        found=f"held now: {last}; {'no key' if seal.site.chain is None else 'a key is there'}",
        verdict="pass" if done else "fail",
        why="accounts and keys are gone, and a receipt is kept" if done else "a hold leaves no key and gives a receipt",
        rule=rules.RETENTION,
        source=source,
    )


def _topics(facts: Facts) -> list[Line]:
    if facts.live:
        return [_topic(wanted, found) for wanted, found in facts.live.topics if wanted.name in _KEEPS]
    names = [topic.name for topic in kafka_topics(1, 0) if topic.name in _KEEPS]
    return [unseen(f"Kafka keeps {name}", rules.RETENTION, _describe(name)) for name in names]


def _topic(wanted: KafkaTopic, found: Mapping[str, str]) -> Line:
    different = {name: found.get(name, "nothing") for name, to_be in wanted.config.items() if found.get(name) != to_be}
    if not found:
        why = "there is no such topic: fairroll provision"
    elif different:
        why = "; ".join(f"{name} is {value}, not {wanted.config[name]}" for name, value in different.items())
    else:
        why = "as fairroll provision sets it"
    return Line(
        fact=f"Kafka keeps {wanted.name}",
        found=f"{_kept(found)}; {_KEEPS[wanted.name]}",
        verdict="fail" if different else "pass",
        why=why,
        rule=rules.RETENTION,
        source=_describe(wanted.name),
    )


def _describe(topic: str) -> str:
    return f"kafka-configs --describe --topic {topic}"


def _kept(found: Mapping[str, str]) -> str:
    if found.get("cleanup.policy") == "compact":
        lag_s = int(found.get("max.compaction.lag.ms", "0")) / 1000
        return f"the last row of each account, older ones {span(lag_s)} at most until they may be compacted"
    kept_ms = int(found.get("retention.ms", "-1"))
    return f"{span(kept_ms / 1000)}, then segments are deleted" if kept_ms >= 0 else "without end"
