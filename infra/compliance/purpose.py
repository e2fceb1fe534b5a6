"""Statements on purpose, placement and consent. Pure."""

from devices.machine.camera_permission import sign
from infra.compliance import rules
from infra.compliance.facts import Facts
from infra.compliance.statement import Line, Section, counsel, failed, judged, passed, unseen
from infra.status.screen import span
from models.contract.messages import Control

__all__ = ["alternatives", "as_configured", "purpose"]


def purpose(facts: Facts) -> Section:
    """Return the statements on what is processed and for which purpose."""
    if facts.captures_faces:
        lines = [_necessity(facts), _placement(facts), _public_place(), _minors(facts), _consent(), _sign(facts)]
        lines += [_operator(facts), _assessment(), _high_risk()]
    else:
        lines = [_faceless(facts)]
    return Section(title="What is processed, and what for", lines=lines)


def alternatives(facts: Facts) -> Section:
    """Return the statements on alternatives to a face, and on withdrawal."""
    lines = [_button(facts), _button_used(facts)]
    return Section(title="What there is instead", lines=[*lines, _forgetting(facts)] if facts.captures_faces else lines)


def as_configured(facts: Facts) -> Section:
    """Return the statements on whether the running site matches its settings."""
    return Section(title="Whether it runs as its settings say", lines=[_control(facts), _dispensers(facts)])


def _faceless(facts: Facts) -> Line:
    """The single statement for a site without faces."""
    return passed(
        "Faces are captured",
        f"no; the dispensers hang {'inside' if facts.spec.placement == 'inside' else 'at the entrance'}:"
        f" {', '.join(facts.spec.devices)}",
        "no camera captures, wherever they hang: no face is processed",
        rules.PRIVATE_SPACES,
        f"{facts.setting('mode')}, placement",
    )


def _necessity(facts: Facts) -> Line:
    return counsel(
        fact="Faces are captured",
        found="yes: a template of 512 bits of each visitor who presses for it, to share the paper",
        why="whether sharing paper needs faces is the operator's to argue; a site works fully without",
        rule=rules.NECESSITY,
        source=facts.setting("mode"),
    )


def _placement(facts: Facts) -> Line:
    """The sites file refuses faces inside; a pipeline with an older configuration may still capture them."""
    fact, rule, source = "Where the dispensers hang", rules.PRIVATE_SPACES, facts.setting("placement")
    found = f"{facts.spec.placement}: {', '.join(facts.spec.devices)}"
    control = facts.live.control if facts.live else None
    if "inside" in {facts.spec.placement, control.placement if control else None}:
        bad = "faces are captured, and the dispensers hang inside: fairroll hold, then fairroll apply"
        return failed(fact, found, bad, rule, source)
    return counsel(fact, found, "as the operator states: check where each dispenser hangs", rule, source)


def _public_place() -> Line:
    return counsel(
        fact="Purpose of cameras in a public place",
        found="a fair share of paper",
        why="paper is no public security: even an entrance needs counsel",
        rule=rules.NOTICE,
        source="docs/field.md, PIPL Art. 26",
    )


def _minors(facts: Facts) -> Line:
    return counsel(
        fact="Children under 14 are expected",
        found="yes" if facts.spec.minors else "no",
        why="as the operator states: no age is asked",
        rule=rules.GUARDIANS,
        source=facts.setting("minors"),
    )


def _consent() -> Line:
    return counsel(
        fact="How a visitor consents",
        found="by pressing FACE, or FORGET, next to the sign; the camera captures nothing before",
        why="whether a press next to a sign is a separate, informed consent",
        rule=rules.CONSENT,
        source="devices/hardware/panel.py; docs/contract.md",
    )


def _sign(facts: Facts) -> Line:
    own = (
        "its own words: whether they say what is processed, how long, what there is instead, how to be forgotten and"
        " who answers for it is for a reader"
    )
    default = "the default does not say who answers for it: a plate must, or a sign of your own"
    return counsel(
        fact="What people read before they press",
        found=sign(_applied_control(facts), None),
        why=own if facts.spec.sign else default,
        rule=rules.NOTICE,
        source=facts.setting("sign"),
    )


def _applied_control(facts: Facts) -> Control:
    """Return the control that `fairroll apply` makes of the settings, as far as it concerns visitors."""
    spec = facts.spec
    return Control(
        site=facts.site,
        mode=spec.mode,
        policy=spec.policy.version,
        epoch=0,
        ration_cm=spec.policy.portion_cm,
        ration_budget_cm=spec.policy.ration_budget_cm,
        window_s=spec.policy.window_s,
        placement=spec.placement,
        sign=spec.sign,
    )


def _operator(facts: Facts) -> Line:
    return counsel(
        fact="Who compares a face with how many",
        found=f"the operator's pipeline, with all visitors that the site remembers:"
        f" {span(facts.spec.policy.window_s)} at most, {facts.spec.policy.most_accounts:,} accounts at most",
        why="this is one-to-many storage held by an operator; it was rejected for airports. Button mode has none",
        rule=rules.EDPB,
        source="docs/architecture.md, Who keeps what",
    )


def _assessment() -> Line:
    return counsel(
        fact="An impact assessment was made",
        found="not known to the pipeline",
        why="these lines are facts for it, and are not it",
        rule=rules.ASSESSMENT,
        source="docs/compliance.md",
    )


def _high_risk() -> Line:
    return counsel(
        fact="Records of what was decided",
        found="each decision with its reason, without a template; no technical documentation for these duties",
        why="whether the site is of Annex III, and what else is due",
        rule=rules.AI_ACT,
        source="models/ledger/outcomes.py; docs/field.md, AI Act",
    )


def _button(facts: Facts) -> Line:
    policy = facts.spec.policy
    return passed(
        "Paper without a face",
        f"button: {policy.portion_cm} cm as by face, immediately, up to {policy.button_budget_cm:,} cm from a dispenser"
        f" in {span(policy.window_s)}; staff: always",
        "an equal portion, and no reason is asked" if facts.captures_faces else "it is the only way here",
        rules.ALTERNATIVE,
        facts.setting("policy"),
    )


def _button_used(facts: Facts) -> Line:
    fact, rule, source = (
        "Who was served without a face, in the last day",
        rules.GDPR,
        f"{facts.topics.decisions}; Grafana",
    )
    if facts.live is None:
        return unseen(fact, rule, source)
    traffic = facts.live.traffic
    if not traffic.buttons + traffic.uncompared:
        return unseen(fact, rule, source, "no such request")
    found = (
        f"{traffic.buttons:,} asked by button and {traffic.uncompared:,} by a face that was not compared; of these"
        f" {traffic.faceless_refused:,} were refused; helped by staff: {traffic.staff:,}"
    )
    if traffic.faceless_refused:
        why = "a way that is closed at times may not be equal: budgets ran out (button_budget_cm, dispenser_limit_cm)"
        return counsel(fact, found, why, rule, source)
    return passed(fact, found, "each was served", rule, source)


def _forgetting(facts: Facts) -> Line:
    fact, rule = "Requests to be forgotten, in the last day", rules.GDPR
    source = f"{facts.topics.decisions}; models/ledger/requests.py"
    if facts.live is None:
        return unseen(fact, rule, source)
    traffic = facts.live.traffic
    if not traffic.forgets:
        return unseen(fact, rule, source, "no request")
    good = "each was acknowledged; a visitor who is not recognised has only data that expires with its window"
    found = f"{traffic.forgets:,}; {traffic.erased:,} templates were erased"
    return passed(fact, found, good, rule, source)


def _control(facts: Facts) -> Line:
    fact, rule, source = "How the site works now", rules.ASSESSMENT, f"{facts.topics.controls}; fairroll apply"
    if facts.live is None:
        return unseen(fact, rule, source)
    control = facts.live.control
    if control is None:
        found = "the pipeline does not know this site"
        return failed(fact, found, "run fairroll apply", rule, source)
    differs = _differences(facts, control)
    return judged(
        fact,
        f"{control.mode}, policy {control.policy}, epoch {control.epoch}",
        rule,
        source,
        passes=not differs,
        good="as the sites file, apart from a hold",
        bad=f"differs from the sites file: {', '.join(differs)}",
    )


def _differences(facts: Facts, control: Control) -> list[str]:
    wanted = _applied_control(facts)
    mode = [] if control.mode in {"held", wanted.mode} else ["mode"]
    others = ("policy", "window_s", "placement", "sign")
    return mode + [name for name in others if getattr(control, name) != getattr(wanted, name)]


def _dispensers(facts: Facts) -> Line:
    fact, rule, source = (
        "Dispensers in face mode now",
        rules.ASSESSMENT,
        f"{facts.topics.states}; fairroll status",
    )
    if facts.live is None:
        return unseen(fact, rule, source)
    states, control = facts.live.states, facts.live.control
    capturing = [device for device, state in sorted(states.items()) if state.online and state.mode == "face"]
    silent = [device for device in facts.spec.devices if device not in states]
    return judged(
        fact,
        (", ".join(capturing) or "none") + (f"; never connected: {', '.join(silent)}" if silent else ""),
        rule,
        source,
        passes=not capturing or (control is not None and control.mode == "face"),
        good="none that should not, by their own states",
        bad="the site is not in face mode now",
    )
