"""Statements on recognition errors and on template protection. Pure."""

from infra.compliance import rules
from infra.compliance.facts import Facts
from infra.compliance.measured_accuracy import MEASURED, Measured
from infra.compliance.statement import Line, Section, counsel, failed, judged, unseen
from infra.status.screen import span
from models.contract.face_models import FACE_MODELS, TRILLION
from models.ledger.rules.policy import Policy

__all__ = ["errors", "protection"]

_MOST_MISSED = 0.5
"""Share of returning visitors that a fit model misses at most. Our own threshold; no law sets one."""
_TOLERABLE = 0.01
"""Highest acceptable share of wrongful refusals among requests by face. Our own threshold."""
_UNLINKED = 0.05
"""D_sys, of 1, up to which we call templates unlinkable. Our own threshold too."""
_NEARLY_A_DAY_S = 86_000
"""Records that span this long count as a day: the first and last tick are up to a tick off."""
_TICKS_S = 60
"""An epoch ends with a tick, every 5 s; a restarted decider ticks after about ten seconds."""
_STUDY = "docs/template-evaluation.md; make figures"


def errors(facts: Facts) -> Section:
    """Return the statements on recognition errors; none for a site without faces."""
    rates = [line for model in facts.models for line in (_false_matches(model, facts.spec.policy), _non_matches(model))]
    unknown = [unseen("False match and false non-match rate", rules.ASSESSMENT, _STUDY, _modelless(facts))]
    lines = [*(rates or unknown), _wrongful(facts), _groups(), _presentation()]
    return Section(title="How often it is wrong", lines=lines if facts.captures_faces else [])


def protection(facts: Facts) -> Section:
    """Return the statements on template protection; none for a site without faces."""
    known = [line for model in facts.models for line in _protected(model)]
    unknown = [unseen("What a template reveals", rules.IRREVERSIBILITY, _STUDY, _modelless(facts))]
    lines = [*(known or unknown), _epoch(facts)]
    return Section(title="How well templates are protected", lines=lines if facts.captures_faces else [])


def _modelless(facts: Facts) -> str:
    return (
        "no dispenser reported its face model" if facts.live else "the model is the dispensers' choice: none was asked"
    )


def _is_fit(name: str, policy: Policy) -> bool:
    """Whether the model was measured on people and recognises them in some crowd, within the policy's target."""
    model = FACE_MODELS.get(name)
    return (
        model is not None and model.people > 0 and model.largest_crowd(policy.wrongful_per_million, _MOST_MISSED) != 0
    )


def _basis(name: str) -> str:
    model = FACE_MODELS.get(name)
    if model is None or not model.people:
        return "not measured on people"
    return f"upper 95 % bounds of the worst group, {model.people:,} people"


def _people(measured: Measured) -> str:
    return f"{measured.people:,} people" if measured.people else "random vectors, no person"


def _false_matches(name: str, policy: Policy) -> Line:
    fact, model = f"False match rate of {name}", FACE_MODELS.get(name)
    if model is None:
        return _unknown(fact, name)
    target, source = policy.wrongful_per_million, f"{_STUDY}; models/contract/models"
    least, measured = model.curve[0], [point for point in model.curve if point.score <= model.measured_to]
    lowest = f", {measured[-1].false_match / TRILLION:.1g} at the last measured one" if len(measured) > 1 else ""
    found = f"at most {least.false_match / TRILLION:.1g} at its lowest threshold{lowest} ({_basis(name)})"
    if _is_fit(name, policy):
        largest = model.largest_crowd(target, _MOST_MISSED)
        crowd = "any crowd" if largest is None else f"up to {largest:,} live templates"
        why = f"fit for {crowd} at {target} of a million; whether the measured people are like the visitors"
        return counsel(fact, found, why, rules.ASSESSMENT, source)
    bad = (
        f"no crowd, however small, within {target} wrongful refusals of a million and {_MOST_MISSED:.0%} missed returns"
    )
    return failed(fact, found, bad if model.people else "nothing is proven of people", rules.ASSESSMENT, source)


def _non_matches(name: str) -> Line:
    fact, measured = f"False non-match rate of {name}", MEASURED.get(name)
    if measured is None:
        return _unknown(fact, name)
    share = f"{100 * measured.non_matches / measured.mated:.2g} %"
    found = f"{share} ({measured.non_matches:,} of {measured.mated:,}, of {_people(measured)})"
    source = f"README, Faces; {_STUDY}"
    if measured.people:
        why = "a visitor who is not recognised gets paper: no harm, but it counts when necessity is weighed"
        return counsel(fact, found, why, rules.ASSESSMENT, source)
    return failed(fact, found, "not measured on people", rules.ASSESSMENT, source)


def _unknown(fact: str, name: str) -> Line:
    bad = f"{name} was not measured on people"
    return failed(fact, "not measured", bad, rules.ASSESSMENT, _STUDY)


def _wrongful(facts: Facts) -> Line:
    """An upper bound: a request matches only the nearest template, and is refused only if its quota is used up."""
    fact, source = "Expected wrongful refusals a day", f"{facts.topics.decisions}; models/ledger/outcomes.py, wrongful"
    if facts.live is None:
        return unseen(fact, rules.ASSESSMENT, source)
    traffic = facts.live.traffic
    if not traffic.faces:
        return unseen(fact, rules.ASSESSMENT, source, "no face was compared in the last day")
    at_most = min(traffic.wrongful, traffic.refused_as_known)
    is_few, is_proven = (
        at_most <= _TOLERABLE * traffic.faces,
        all(_is_fit(name, facts.spec.policy) for name in traffic.models),
    )
    bases = "; ".join(f"{name}: {_basis(name)}" for name in sorted(traffic.models))
    many = f"more than {_TOLERABLE:.0%}, our own threshold, of those who asked ({bases})"
    return judged(
        fact,
        f"at most {_number(at_most)}, in {_span(traffic.span_s)}: {traffic.faces:,} requests by face, up to"
        f" {traffic.most_templates:,} templates alive; by the false match rate at most {_number(traffic.wrongful)};"
        f" refused as known: {traffic.refused_as_known:,}",
        rules.ASSESSMENT,
        source,
        passes=is_few and is_proven,
        good=f"not more than {_TOLERABLE:.0%}, our own threshold, of those who asked; the button remains ({bases})",
        bad=many if is_proven else f"the rate behind it is not proven of people ({bases})",
    )


def _span(seconds: float) -> str:
    return span(seconds) if seconds >= _NEARLY_A_DAY_S else f"{span(seconds)} of records, which is no day yet"


def _number(expected: float) -> str:
    return f"{expected:,.0f}" if expected >= 10 or expected == int(expected) else f"{expected:.2g}"  # noqa: PLR2004 - digits


def _groups() -> Line:
    return failed(
        "Errors by skin tone, age and sex",
        "measured in eight groups by origin and sex, whose worst sets the threshold; not by age",
        "some groups are affected up to ten times as often as others",
        rules.AI_ACT,
        "docs/template-evaluation.md, Recognition, on thousands of people",
    )


def _presentation() -> Line:
    return failed(
        "Photos and masks in front of the camera",
        "not measured, and nothing detects them; a dispenser's limit bounds the paper",
        "there is neither an APCER nor a BPCER",
        rules.PRESENTATION,
        "docs/template-evaluation.md, What this does not show",
    )


def _protected(name: str) -> list[Line]:
    measured = MEASURED.get(name)
    if measured is None:
        return [_unknown(f"What a template of {name} reveals", name)]
    return [_irreversible(name, measured), _unlinkable(name, measured)]


def _irreversible(name: str, measured: Measured) -> Line:
    return failed(
        f"A template of {name} turned back",
        f"with the site's key to a cosine of {measured.rebuilt:.2f} with the embedding; without it to 0",
        "against a holder of the key, which is on the site's dispensers, it is pseudonymisation only",
        rules.IRREVERSIBILITY,
        _STUDY,
    )


def _unlinkable(name: str, measured: Measured) -> Line:
    return judged(
        f"Templates of {name} of two sites or epochs linked",
        f"D_sys {measured.linked_sites:.3f} and {measured.linked_epochs:.3f} of 1, where mere noise gives up to"
        f" {measured.by_chance:.3f} ({_people(measured)})",
        rules.UNLINKABILITY,
        _STUDY,
        passes=max(measured.linked_sites, measured.linked_epochs) <= _UNLINKED,
        good=f"up to {_UNLINKED:g}, our own threshold, for an attacker without the keys; it was not tested with"
        " hundreds of people known at both",
        bad=f"more than {_UNLINKED:g}, our own threshold",
    )


def _epoch(facts: Facts) -> Line:
    fact, source, last = "Age of the templates' key", "fairroll receipts; sites file, epoch_s", facts.counted
    if last is None:
        return unseen(fact, rules.RENEWABILITY, source, facts.uncounted)
    limit_s = facts.spec.policy.epoch_s
    return judged(
        fact,
        f"{span(last.epoch_age_s)}, epoch {last.epoch}; a new one every {span(limit_s)}",
        rules.RENEWABILITY,
        source,
        passes=last.epoch_age_s <= limit_s + _TICKS_S,
        good="with the next key older templates match nothing",
        bad="the epoch should have ended",
    )
