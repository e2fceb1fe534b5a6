"""Lines about how often it is wrong, and what its templates give away. Pure."""

from infra.compliance import rules
from infra.compliance.facts import Facts, Live
from infra.compliance.line import Line, Section, unseen
from infra.compliance.measured import MEASURED, Measured
from infra.status_screen import span
from models.face_models import FACE_MODELS, FaceModel

__all__ = ["errors", "protection"]

_PROVEN = 0.001
"""A false match rate that is bounded no lower says little about a crowd. Our own yardstick: no law sets one."""
_TOLERABLE = 0.01
"""The share of requests by face that may wrong somebody. Our own yardstick as well."""
_UNLINKED = 0.05
"""D_sys, of 1, up to which we call templates unlinkable. Ours too."""
_NEARLY_A_DAY_S = 86_000
"""A day that was looked at begins with its first tick and ends with its last."""
_STUDY = "docs/template-evaluation.md; make figures"
_NO_MODEL = "no dispenser told its face model"


def errors(facts: Facts) -> Section:
    """How often it is wrong; nothing where nobody is looked at."""
    lines = [
        *(line for model in _models(facts) for line in (_false_matches(model), _non_matches(model))),
        _wrongful(facts),
        _groups(),
        _presentation(),
    ]
    if not _models(facts):
        why = _NO_MODEL if facts.live else "the model is the dispensers' choice, and none was asked"
        lines.insert(0, unseen("False match and false non-match rate", rules.ASSESSMENT, _STUDY, why))
    return Section(title="How often it is wrong", lines=lines if facts.looks else [])


def protection(facts: Facts) -> Section:
    """What a template gives away."""
    lines = [line for model in _models(facts) for line in _protected(model)]
    if not lines:
        why = _NO_MODEL if facts.live else "the model is the dispensers' choice, and none was asked"
        lines = [unseen("What a template gives away", rules.IRREVERSIBILITY, _STUDY, why)]
    return Section(title="How well templates are protected", lines=[*lines, _epoch(facts)] if facts.looks else [])


def _models(facts: Facts) -> list[str]:
    return sorted(facts.live.models) if facts.live else []


def _is_proven(model: FaceModel, measured: Measured | None) -> bool:
    return measured is not None and measured.people > 0 and model.false_match_rate <= _PROVEN


def _basis(measured: Measured | None) -> str:
    if measured is None:
        return "measured on nobody"
    return f"upper 95 % bound; no false match among {measured.pairs:,} pairs, of {_people(measured)}"


def _people(measured: Measured) -> str:
    return f"{measured.people} people" if measured.people else "random vectors, no person"


def _false_matches(name: str) -> Line:
    fact, model, measured = f"False match rate of {name}", FACE_MODELS.get(name), MEASURED.get(name)
    if model is None:
        return _unknown(fact, name)
    proven = _is_proven(model, measured)
    return Line(
        fact=fact,
        found=f"at most {model.false_match_rate:g} ({_basis(measured)})",
        verdict="needs counsel" if proven else "fail",
        why="whether those who were measured are like those who come"
        if proven
        else f"nothing is proven of people: a bound of {_PROVEN:g} takes some {3 / _PROVEN:,.0f} independent pairs",
        rule=rules.ASSESSMENT,
        source=f"{_STUDY}; models/face_models.py",
    )


def _non_matches(name: str) -> Line:
    fact, measured = f"False non-match rate of {name}", MEASURED.get(name)
    if measured is None:
        return _unknown(fact, name)
    share = f"{100 * measured.non_matches / measured.mated:.2g} %"
    return Line(
        fact=fact,
        found=f"{share} ({measured.non_matches:,} of {measured.mated:,}, of {_people(measured)})",
        verdict="needs counsel" if measured.people else "fail",
        why="who is not known again gets paper: it wrongs nobody, but counts when necessity is weighed"
        if measured.people
        else "measured on nobody",
        rule=rules.ASSESSMENT,
        source=f"README, Faces; {_STUDY}",
    )


def _unknown(fact: str, name: str) -> Line:
    return Line(
        fact=fact,
        found="not measured",
        verdict="fail",
        why=f"of {name} nothing was measured on anybody",
        rule=rules.ASSESSMENT,
        source=_STUDY,
    )


def _wrongful(facts: Facts) -> Line:
    """A request matches only the most alike, and is refused only if that share is used up: hence at most."""
    fact, source = "Expected wrongful refusals a day", "fairroll.decisions; models/outcomes.py, wrongful"
    if facts.live is None:
        return unseen(fact, rules.ASSESSMENT, source)
    traffic = facts.live.traffic
    if not traffic.faces:
        return unseen(fact, rules.ASSESSMENT, source, "no face was compared in the last day")
    at_most = min(traffic.wrongful, traffic.refused_as_known)
    proven = all(
        name in FACE_MODELS and _is_proven(FACE_MODELS[name], MEASURED.get(name)) for name in sorted(traffic.models)
    )
    few = at_most <= _TOLERABLE * traffic.faces
    return Line(
        fact=fact,
        found=f"at most {_number(at_most)}, in {_span(traffic.span_s)}: {traffic.faces:,} requests by face,"
        f" up to {traffic.most_templates:,} templates alive; by the false match rate at most"
        f" {_number(traffic.wrongful)}; refused as known: {traffic.refused_as_known:,}",
        verdict="pass" if few and proven else "fail",
        why=_why(facts.live, few=few, proven=proven),
        rule=rules.ASSESSMENT,
        source=source,
    )


def _why(live: Live, *, few: bool, proven: bool) -> str:
    bases = "; ".join(f"{name}: {_basis(MEASURED.get(name))}" for name in sorted(live.traffic.models))
    if not proven:
        return f"the rate behind it is not proven of people ({bases})"
    share = "not more" if few else "more"
    return f"{share} than {_TOLERABLE:.0%} of those who asked, who can press the button ({bases})"


def _span(seconds: float) -> str:
    return span(seconds) if seconds >= _NEARLY_A_DAY_S else f"{span(seconds)} of records, which is no day yet"


def _number(expected: float) -> str:
    return f"{expected:,.0f}" if expected >= 10 or expected == int(expected) else f"{expected:.2g}"  # noqa: PLR2004 - digits


def _groups() -> Line:
    return Line(
        fact="Errors by skin tone, age and sex",
        found="not measured",
        verdict="fail",
        why="nobody knows whether it is wrong more often about some",
        rule=rules.AI_ACT,
        source="docs/template-evaluation.md, What this does not show",
    )


def _presentation() -> Line:
    return Line(
        fact="Photos and masks before the camera",
        found="not measured, and nothing detects them; a dispenser's limit bounds the paper",
        verdict="fail",
        why="there is neither an APCER nor a BPCER",
        rule=rules.PRESENTATION,
        source="docs/template-evaluation.md, What this does not show",
    )


def _protected(name: str) -> list[Line]:
    measured = MEASURED.get(name)
    if measured is None:
        return [_unknown(f"What a template of {name} gives away", name)]
    return [_irreversible(name, measured), _unlinkable(name, measured)]


def _irreversible(name: str, measured: Measured) -> Line:
    return Line(
        fact=f"A template of {name} turned back",
        found=f"with the site's key to a cosine of {measured.rebuilt:.2f} with the embedding; without it to 0",
        verdict="fail",
        why="against whoever has the key, which is on the site's dispensers, it is pseudonymisation only",
        rule=rules.IRREVERSIBILITY,
        source=_STUDY,
    )


def _unlinkable(name: str, measured: Measured) -> Line:
    worst = max(measured.linked_sites, measured.linked_epochs)
    return Line(
        fact=f"Templates of {name} of two sites or epochs linked",
        found=f"D_sys {measured.linked_sites:.3f} and {measured.linked_epochs:.3f} of 1,"
        f" where mere noise gives up to {measured.by_chance:.3f} ({_people(measured)})",
        verdict="pass" if worst <= _UNLINKED else "fail",
        why=f"up to {_UNLINKED:g}, our own yardstick, for who lacks the keys; with hundreds of people known in both"
        " it was not tried",
        rule=rules.UNLINKABILITY,
        source=_STUDY,
    )


def _epoch(facts: Facts) -> Line:
    fact, source = "Age of the templates' key", "fairroll receipts; sites file, epoch_s"
    told = facts.live.traffic.counted if facts.live else None
    if told is None:
        return unseen(fact, rules.RENEWABILITY, source, "nothing told its age")
    limit_s = facts.spec.policy.epoch_s
    in_time = told.epoch_age_s <= limit_s + 60
    return Line(
        fact=fact,
        found=f"{span(told.epoch_age_s)}, epoch {told.epoch}; a new one every {span(limit_s)}",
        verdict="pass" if in_time else "fail",
        why="the next makes all older templates useless" if in_time else "the epoch should have ended",
        rule=rules.RENEWABILITY,
        source=source,
    )
