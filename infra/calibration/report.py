"""A calibration as Markdown. Pure."""

from collections.abc import Iterator, Sequence

from models.face.calibration.study import Calibration, Crowd

__all__ = ["markdown"]


def markdown(found: Calibration) -> str:
    """Return the report: enrolment, accuracy, groups, crowds, limits."""
    return "\n".join([*_head(found), *_rates(found), *_groups(found), *_crowds(found), *_limits(found), ""])


def _head(found: Calibration) -> Iterator[str]:
    lost = sum(found.turned_away.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(found.turned_away.items())) or "none"
    yield f"# Calibration of {found.model.id}"
    yield ""
    yield (
        f"{found.model.source}: {found.photos:,} photos, of which {lost:,} ({lost / found.photos:.1%}) gave no template"
        f" (failure to enrol: {reasons}). {found.learned_people:,} people taught the centre, {found.judged_people:,}"
        f" others were judged, by {found.mated:,} pairs of photos of one person, through templates of"
        f" {found.model.bits:,} bits."
    )
    yield ""


def _rates(found: Calibration) -> Iterator[str]:
    if found.plain and found.templates:
        yield from _table(
            ("official pairs", "accuracy %"),
            [
                ("cosine of the network", f"{found.plain.mean:.2f} ± {found.plain.error:.2f}"),
                ("templates", f"{found.templates.mean:.2f} ± {found.templates.error:.2f}"),
            ],
        )
    yield from _table(
        ("false match rate, people", "missed returns %"),
        [(f"{rate:.0e}", f"{100 * missed:.1f}") for rate, missed in found.roc],
    )


def _groups(found: Calibration) -> Iterator[str]:
    yield f"## By group, at the score {found.reference_threshold}"
    yield ""
    yield "One in 10,000 pairs of strangers among the people reaches it. Each group was judged without having taught."
    yield ""
    rows = [(each.name, str(each.people), f"{each.false_match_rate:.2g}", f"{each.bound:.2g}") for each in found.groups]
    yield from _table(("group", "people", "false match rate within", "at most (95 %)"), rows)
    shares = [each.false_match_rate for each in found.groups[1:]]
    if shares:
        factor = f"{max(shares) / min(shares):.1f}" if min(shares) else "not known, for one had none"
        yield f"Between groups: {found.between_groups:.2g}. Worst group over best: {factor}."
        yield ""


def _crowds(found: Calibration) -> Iterator[str]:
    yield "## By crowd"
    yield ""
    yield "Live templates, the threshold that a policy sets for them, and the share of returning visitors it misses."
    yield "`fixed` is what the threshold for one template would do: newcomers taken for somebody else, of a million."
    yield ""
    rows = [_crowd(each) for each in found.crowds]
    yield from _table(("wrongful_per_million", "live templates", "threshold", "missed %", "fixed"), rows)
    yield (
        f"Thresholds above {found.model.measured_to} (`*`) lie beyond what these photos measure: they assume that"
        " scores of strangers fall off exponentially."
    )
    yield ""


def _crowd(each: Crowd) -> tuple[str, ...]:
    threshold = "none" if each.threshold is None else f"{each.threshold}{'' if each.is_measured else '*'}"
    fixed = min(each.fixed_wrongful_per_million, 1e6)
    return (
        f"{each.wrongful_per_million:,}",
        f"{each.templates:,}",
        threshold,
        f"{100 * each.missed:.1f}",
        f"{fixed:,.0f}",
    )


def _limits(found: Calibration) -> Iterator[str]:
    yield "## What this does not show"
    yield ""
    yield "- People, cameras and light of a site are not those of these photos: calibrate on your own cameras'."
    yield "- A photo that is in the set under two names counts as a false match, and makes the bounds too high."
    yield "- Nothing about photos or masks before the camera."
    if not found.groups[1:]:
        yield "- Nothing about groups of people: there was no `--groups`."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
