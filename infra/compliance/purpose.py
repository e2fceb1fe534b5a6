"""Lines about why, where and with whose agreement faces are looked at. Pure."""

from devices.faces import sign
from infra.compliance import rules
from infra.compliance.facts import Facts, Live
from infra.compliance.line import Line, Section, Verdict, unseen
from infra.status_screen import span
from models.messages import Control

__all__ = ["alternatives", "as_configured", "purpose"]


def purpose(facts: Facts) -> Section:
    """What is processed, and what for."""
    lines = [_necessity(facts), _placement(facts), _public_place(facts), _minors(facts)]
    if facts.looks:
        lines += [_consent(facts), _sign(facts), _operator(facts), _assessment(facts), _high_risk(facts)]
    return Section(title="What is processed, and what for", lines=lines)


def alternatives(facts: Facts) -> Section:
    """What there is instead of a face, and how to take it back."""
    lines = [_button(facts), _button_used(facts)]
    return Section(title="What there is instead", lines=[*lines, _forgetting(facts)] if facts.looks else lines)


def as_configured(facts: Facts) -> Section:
    """Whether all of this is about the site that really runs."""
    return Section(title="Whether it runs as its settings say", lines=[_control(facts), _dispensers(facts)])


def _setting(facts: Facts, name: str) -> str:
    return f"{facts.sites_file}, sites.{facts.site}, {name}"


def _necessity(facts: Facts) -> Line:
    looks = facts.looks
    return Line(
        fact="Faces are looked at",
        found="yes: a template of 512 bits of whoever presses for it, to share the paper" if looks else "no",
        verdict="needs counsel" if looks else "pass",
        why="whether sharing paper needs faces is the operator's to argue; a site works fully without"
        if looks
        else "no face is processed",
        rule=rules.NECESSITY,
        source=_setting(facts, "mode"),
    )


def _placement(facts: Facts) -> Line:
    """The file of sites refuses faces inside; a site that was told otherwise before may still look."""
    control = facts.live.control if facts.live else None
    placements = {facts.spec.placement, control.placement if control else facts.spec.placement}
    verdict: Verdict
    if facts.looks and "inside" in placements:
        verdict, why = "fail", "faces are looked at, and the dispensers hang inside: fairroll hold, then fairroll apply"
    elif facts.looks:
        verdict, why = "needs counsel", "by the operator's word: look where each dispenser hangs"
    else:
        verdict, why = "pass", "no camera looks, wherever they hang"
    return Line(
        fact="Where the dispensers hang",
        found=f"{facts.spec.placement}: {', '.join(facts.spec.devices)}",
        verdict=verdict,
        why=why,
        rule=rules.PRIVATE_SPACES,
        source=_setting(facts, "placement"),
    )


def _public_place(facts: Facts) -> Line:
    return Line(
        fact="Purpose of cameras in a public place",
        found="a fair share of paper" if facts.looks else "none looks",
        verdict="needs counsel" if facts.looks else "pass",
        why="paper is no public security: even an entrance needs counsel" if facts.looks else "no face is processed",
        rule=rules.NOTICE,
        source="docs/field.md, PIPL Art. 26",
    )


def _minors(facts: Facts) -> Line:
    expected = facts.spec.minors
    return Line(
        fact="Children under 14 are expected",
        found="yes" if expected else "no",
        verdict="needs counsel" if facts.looks else "pass",
        why="by the operator's word: nobody asks for an age" if facts.looks else "no face is processed",
        rule=rules.GUARDIANS,
        source=_setting(facts, "minors"),
    )


def _consent(facts: Facts) -> Line:
    return Line(
        fact="How somebody agrees",
        found="by pressing FACE, or FORGET, beside the sign; nobody is looked at before",
        verdict="needs counsel",
        why="whether a press beside a sign is a separate, informed consent",
        rule=rules.CONSENT,
        source=f"devices/panel.py; {_setting(facts, 'mode')}",
    )


def _sign(facts: Facts) -> Line:
    spec = facts.spec
    own = (
        "its own words: whether they say what is processed, how long, what there is instead, how to be forgotten and"
        " who answers for it is for a reader"
    )
    return Line(
        fact="What people read before they press",
        found=spec.sign or sign(_as_told(facts), None),
        verdict="needs counsel",
        why=own if spec.sign else "the default does not say who answers for it: a plate must, or a sign of your own",
        rule=rules.NOTICE,
        source=_setting(facts, "sign"),
    )


def _as_told(facts: Facts) -> Control:
    """What `fairroll apply` makes of the settings, as far as they are about people."""
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
    return Line(
        fact="Who compares a face with how many",
        found=f"the operator's pipeline, with everybody whom the site remembers:"
        f" {span(facts.spec.policy.window_s)} at most, {facts.spec.policy.most_accounts:,} accounts at most",
        verdict="needs counsel",
        why="this is one-to-many storage held by an operator; it was rejected for airports. Button mode has none",
        rule=rules.EDPB,
        source="docs/architecture.md, Who keeps what",
    )


def _assessment(_: Facts) -> Line:
    return Line(
        fact="An impact assessment was made",
        found="nothing here can tell",
        verdict="needs counsel",
        why="these lines are facts for it, and are not it",
        rule=rules.ASSESSMENT,
        source="docs/compliance.md",
    )


def _high_risk(_: Facts) -> Line:
    return Line(
        fact="Records of what was decided",
        found="each decision with its reason, without a template; no technical documentation for these duties",
        verdict="needs counsel",
        why="whether the site is of Annex III, and what else is due",
        rule=rules.AI_ACT,
        source="models/outcomes.py; docs/field.md, AI Act",
    )


def _button(facts: Facts) -> Line:
    policy = facts.spec.policy
    return Line(
        fact="Paper without a face",
        found=f"button: {policy.portion_cm} cm as by face, at once, up to {policy.button_budget_cm:,} cm from a"
        f" dispenser in {span(policy.window_s)}; staff: always",
        verdict="pass",
        why="an equal portion, and no reason is asked" if facts.looks else "it is the only way here",
        rule=rules.ALTERNATIVE,
        source=_setting(facts, "policy"),
    )


def _button_used(facts: Facts) -> Line:
    fact, source = "Who was served without a face, in the last day", "fairroll.decisions; Grafana"
    if facts.live is None:
        return unseen(fact, rules.GDPR, source)
    traffic = facts.live.traffic
    if not traffic.buttons + traffic.uncompared:
        return unseen(fact, rules.GDPR, source, "nobody did")
    refused = traffic.faceless_refused
    return Line(
        fact=fact,
        found=f"{traffic.buttons:,} asked by button and {traffic.uncompared:,} by a face that was not compared, of whom"
        f" {refused:,} were refused; helped by staff: {traffic.staff:,}",
        verdict="needs counsel" if refused else "pass",
        why="budgets ran out: a way that is sometimes closed may not be equal (button_budget_cm, dispenser_limit_cm)"
        if refused
        else "each was served",
        rule=rules.GDPR,
        source=source,
    )


def _forgetting(facts: Facts) -> Line:
    fact, source = "Who asked to be forgotten, in the last day", "fairroll.decisions; models/granting.py"
    if facts.live is None:
        return unseen(fact, rules.GDPR, source)
    traffic = facts.live.traffic
    if not traffic.forgets:
        return unseen(fact, rules.GDPR, source, "nobody did")
    return Line(
        fact=fact,
        found=f"{traffic.forgets:,}; {traffic.erased:,} templates were erased",
        verdict="pass",
        why="each got the receipt at once; who is not known again has nothing to be erased but what ends by itself",
        rule=rules.GDPR,
        source=source,
    )


def _control(facts: Facts) -> Line:
    fact, source = "How the site works now", "fairroll.controls; fairroll apply"
    if facts.live is None:
        return unseen(fact, rules.ASSESSMENT, source)
    control = facts.live.control
    if control is None:
        found, differs = "the pipeline was never told of this site", ["everything"]
    else:
        found, differs = f"{control.mode}, policy {control.policy}, epoch {control.epoch}", _differences(facts, control)
    return Line(
        fact=fact,
        found=found,
        verdict="fail" if differs else "pass",
        why=f"not as the file says: {', '.join(differs)}" if differs else "as the file says, but for a hold",
        rule=rules.ASSESSMENT,
        source=source,
    )


def _differences(facts: Facts, control: Control) -> list[str]:
    wanted = _as_told(facts)
    names = ["policy", "window_s", "placement", "sign"]
    return ["mode"] * (control.mode not in {"held", wanted.mode}) + [
        name for name in names if getattr(control, name) != getattr(wanted, name)
    ]


def _dispensers(facts: Facts) -> Line:
    fact, source = "Dispensers that look at faces now", "fairroll.states; fairroll status"
    if facts.live is None:
        return unseen(fact, rules.ASSESSMENT, source)
    looking = _looking(facts.live)
    silent = [device for device in facts.spec.devices if device not in facts.live.states]
    wrong = bool(looking) and (facts.live.control is None or facts.live.control.mode != "face")
    found = ", ".join(looking) or "none"
    return Line(
        fact=fact,
        found=found + (f"; never heard of: {', '.join(silent)}" if silent else ""),
        verdict="fail" if wrong else "pass",
        why="the site does not work with faces now" if wrong else "none that should not, by their own word",
        rule=rules.ASSESSMENT,
        source=source,
    )


def _looking(live: Live) -> list[str]:
    return [device for device, state in sorted(live.states.items()) if state.online and state.mode == "face"]
