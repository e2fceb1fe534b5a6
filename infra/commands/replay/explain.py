"""`fairroll explain`: why a request was answered as it was."""

from collections.abc import Iterator

import click
from rich.console import Console
from rich.text import Text

from infra.local_time import iso_local
from infra.operator_settings import replay_settings
from infra.replay.kafka_errors import run_replay
from infra.sites.registry import read_registry
from infra.tables import Table, stacked
from models.contract.codec import encode
from models.contract.messages import Dispense, Forgotten, Refuse
from models.errors import FairrollError
from models.ledger.outcomes import Answered
from models.replay.explain import Explanation, FaceFound, Line, MotorReport
from models.settings import Settings
from stream_processors.replay.request_search import Found, decisions_on, find
from stream_processors.replay.sources import KAFKA, SourceSpec, open_source

__all__ = ["explain"]

_REPORTED_MS = 600_000
"""Range after a request in which its reports are searched."""


@click.command()
@click.argument("request_id")
@click.argument("source", default=KAFKA, metavar="[kafka | FILE]")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def explain(request_id: str, source: str, *, as_json: bool) -> None:
    """Explain why a request was answered as it was.

    Shows the ledger before and after, limits, policy and score. It is replayed from Kafka while its events are
    there, and later from an archive. Nothing biometric is shown.
    """
    settings = replay_settings()
    found = run_replay(settings, _find(settings, request_id, source))
    if as_json:
        click.echo(encode({"explanations": found.explanations, "reports": found.reports}))
    else:
        Console().print(stacked(*_report(found)))


async def _find(settings: Settings, request_id: str, source: str) -> Found:
    """Find the request; raises FairrollError if it is unknown, or its event has expired."""
    asked, answer = SourceSpec(source=source), ""
    if source == KAFKA:
        decisions = await decisions_on(settings, request_id)
        if not decisions:
            raise FairrollError(f"Kafka has no decision on {request_id}: it keeps them for 30 days")
        answer = f": its answer was {_answer(decisions[0])}; an archive of that time explains it"
        warm_up_ms = 1000 * (await read_registry(settings)).longest_window_s
        until = decisions[-1].at + _REPORTED_MS
        asked = SourceSpec(source=source, since=decisions[0].at, until=until, warm_up_ms=warm_up_ms)
    async with open_source(settings, asked) as opened:
        found = await find(opened.source, opened.pipeline_secret, request_id)
    if not found.explanations:
        raise FairrollError(f"{source} does not hold the event of {request_id}{answer}")
    return found


def _report(found: Found) -> Iterator[Text | Table]:
    for one in found.explanations:
        yield Text("\n".join(_sentences(one)))
        yield _limits(one)
        whose = "visitor" if one.answered and one.answered.visitor else "dispenser's portions without a face"
        yield _ledger(f"the {whose}, before", one.before)
        yield _ledger("after", one.after)
    if found.reports:
        yield Text("\n".join(map(_motor, found.reports)))


def _sentences(one: Explanation) -> Iterator[str]:
    where = f"{one.site}/{one.device}, {iso_local(one.at / 1000)}, event {one.partition}/{one.offset}"
    yield f"{one.request} at {where}"
    yield f"answer: {_answer(one.answered)}{_proof(one)}"
    if one.face:
        yield f"face: {_face(one.face)}"
    yield f"policy {one.policy_version}: {', '.join(f'{name} = {cm}' for name, cm in one.policy.items())}"


def _answer(answered: Answered | None) -> str:
    match answered.command if answered else None:
        case Dispense(cm=cm):
            text = f"dispense {cm} cm"
        case Refuse(reason=reason, retry_after_s=wait_s):
            text = f"refused for its {reason}, a portion fits again after {wait_s} s"
        case Forgotten(erased=erased):
            text = f"forgotten, {erased} templates erased"
        case None:
            text = "none: its template could not be read, and the dispenser asks again"
    return f"repeated, {text}" if answered and answered.repeated else text


def _proof(one: Explanation) -> str:
    if one.is_proven:
        return f", {one.comparison} to what was decided then"
    return f", {one.comparison} to what was decided then; not provable, for what counted before is not all here"


def _face(face: FaceFound) -> str:
    if face.identity == "unreadable":
        return "its template could not be read, so that it was decided like a button"
    if face.score is None:
        return f"{face.identity}, with no template to compare with ({face.model}, by its {face.identity_source})"
    bits = f"{face.score} of {face.bits or '?'} bits equal with the nearest of {_number(face.crowd)} live templates"
    return f"{face.identity}, {bits}; {_threshold(face)} ({face.model}, by its {face.identity_source})"


def _threshold(face: FaceFound) -> str:
    """What the threshold of this crowd is, and what it is expected to get wrong."""
    if face.same is None:
        return "the face model has no threshold for this crowd, so no visitor is recognised"
    text = f"the same person from {face.same} on, in doubt from {face.doubt}"
    if face.wrongful_per_million is None or face.missed is None:
        return text
    basis = "" if face.is_measured else ", beyond what was measured"
    return (
        f"{text}; at most {face.wrongful_per_million:.3g} of a million newcomers mistaken for another visitor{basis},"
        f" {face.missed:.1%} of those who return missed"
    )


def _number(crowd: int | None) -> str:
    return "?" if crowd is None else f"{crowd:,}"


def _limits(one: Explanation) -> Table:
    table = Table("limit", "counted cm", "limit cm", "room")
    for limit in one.limits:
        table.add_row(limit.name, str(limit.counted_cm), str(limit.cm), "yes" if limit.has_room else "no")
    return table


def _ledger(title: str, lines: tuple[Line, ...]) -> Table | Text:
    if not lines:
        return Text(f"{title}: nothing")
    heads = ("asked", "dispenser", "request", "by", "granted cm", "dispensed cm", "counts cm")
    table = Table(*heads, title=title)
    for line in lines:
        came = "no report" if line.dispensed_cm is None else str(line.dispensed_cm)
        cm = (str(line.granted_cm), came, str(line.counts_cm))
        table.add_row(iso_local(line.at / 1000), line.device, line.request, line.by, *cm)
    return table


def _motor(report: MotorReport) -> str:
    why = f", {report.why}" if report.why else ""
    return f"{iso_local(report.at / 1000)} {report.device} reported: {report.what} {report.cm} cm{why}"
