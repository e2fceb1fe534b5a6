"""The checker: pure functions that compare visitor_logs, Kafka and the promises of the pipeline.

Each check returns sentences about what is off; none if all is well.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct, structs

from models.contract.messages import Dispensed, LocalRation
from models.ledger.codec import decode_outcome, decode_row
from models.ledger.outcomes import Answered, ReportKept
from tests.experiments.chaos.evidence import Books, Spot
from tests.experiments.chaos.visitor_log import (
    AnswerShown,
    Entry,
    MotorStarted,
    MotorStopped,
    PowerOff,
    PowerOn,
    RequestSent,
)

__all__ = ["Evidence", "Verdict", "check", "is_repetition"]

_PATIENCE_S = 3.0
_SLACK_S = 1.0
"""between a dispenser's reading of its clock and a visitor_log's, on a busy machine"""
_SHOWN = 3
"""examples of each kind"""


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known of a segment."""

    books: Books
    visitor_logs: Sequence[Sequence[Entry]]
    """one for each crowd"""
    acknowledged: Collection[tuple[str, int]] = ()
    """site and number of each probe that the broker took"""


class Verdict(Struct, frozen=True, kw_only=True):
    """A row of the table, and the sentences below it."""

    asked: int
    in_kafka: int
    decided: int
    in_time: int
    """got the pipeline's decision"""
    rations: int
    lost: int
    doubled: int
    late: int
    longest_s: float
    """from the first request to the answer; a power cut in between counts"""
    pause_s: float
    """the longest time without any answer at some site"""
    went: int
    """people who found a long line and went away"""
    off: tuple[str, ...]

    @property
    def is_ok(self) -> bool:
        return not self.off


def check(evidence: Evidence) -> Verdict:
    """Judge a segment."""
    books = evidence.books
    asked = [entry for entry in _all(evidence) if isinstance(entry, RequestSent)]
    shown = [entry for entry in _all(evidence) if isinstance(entry, AnswerShown)]
    lost, doubled, late = _lost(evidence), _doubled(evidence), _late(evidence)
    return Verdict(
        asked=len(asked),
        in_kafka=sum(entry.request in books.requests for entry in asked),
        decided=sum(entry.request in books.answers for entry in asked),
        in_time=sum(entry.what in ("dispense", "refuse") for entry in shown),
        rations=sum(entry.what == "ration" for entry in shown),
        lost=len(lost),
        doubled=len(doubled),
        late=len(late),
        longest_s=max(_waits(evidence), default=0.0),
        pause_s=max(_pauses(evidence), default=0.0),
        went=sum(entry.went for entry in _all(evidence) if isinstance(entry, PowerOff)),
        off=(
            *lost.sentences,
            *doubled.sentences,
            *late.sentences,
            *(s for c in _CHECKS for s in c(evidence).sentences),
        ),
    )


class _Found(Struct, frozen=True):
    """What is off in one way: a sentence for each case."""

    what: str
    cases: Sequence[str]

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def sentences(self) -> tuple[str, ...]:
        if not self.cases:
            return ()
        more = ", ..." if len(self.cases) > _SHOWN else ""
        return (f"{len(self.cases)} {self.what}: {', '.join(self.cases[:_SHOWN])}{more}",)


def _lost(evidence: Evidence) -> _Found:
    books = evidence.books
    undecided = books.requests - books.answers.keys()
    return _Found(
        "requests in Kafka without a decision",
        sorted(f"{request}{' (only repeated)' if request in books.repeated else ''}" for request in undecided),
    )


def _doubled(evidence: Evidence) -> _Found:
    """Two decisions for a request, or two runs of a motor."""
    books = evidence.books
    times = {request: len(books.answers.get(request, ())) for request in books.requests}
    decided = [f"{request} decided {count} times" for request, count in times.items() if count > 1]
    runs = Counter(entry.request for entry in _all(evidence) if isinstance(entry, MotorStarted))
    run = [f"{request} ran the motor {count} times" for request, count in runs.items() if count > 1]
    return _Found("doubled", sorted(decided + run))


def _late(evidence: Evidence) -> _Found:
    return _Found("late", [case for visitor_log in evidence.visitor_logs for case in _late_in(visitor_log)])


def _late_in(visitor_log: Iterable[Entry]) -> Iterator[str]:
    """By command, for a request that was closed by a word to the person, by a power cut or by the end of patience."""
    open_since: dict[str, float] = {}
    for entry in visitor_log:
        match entry:
            case RequestSent():
                open_since[entry.request] = entry.at
            case PowerOn():
                open_since.clear()
            case AnswerShown():
                open_since.pop(entry.request, None)
            case MotorStarted(commanded=True, request=request):
                if request not in open_since:
                    yield f"the motor ran for {request}, which was closed"
                elif entry.at - open_since[request] > _PATIENCE_S + _SLACK_S:
                    yield f"the motor ran for {request} after {entry.at - open_since[request]:.1f} s"
            case _:
                pass


def _ledger(evidence: Evidence) -> _Found:
    """Centimetres by dispenser: what the motors dispensed and what the reports stated."""
    owners = {
        entry.request: f"{entry.site}/{entry.device}" for entry in _all(evidence) if isinstance(entry, RequestSent)
    }
    started = {entry.request: entry.cm for entry in _all(evidence) if isinstance(entry, MotorStarted)}
    stopped = {entry.request: entry.cm for entry in _all(evidence) if isinstance(entry, MotorStopped)}
    gave: defaultdict[str, int] = defaultdict(int)
    shown: defaultdict[str, int] = defaultdict(int)
    for request, cm in started.items():
        owner = owners.get(request, "an unknown dispenser")
        given, reported = stopped.get(request), _reported(evidence.books, request)
        if (given is None or _lost_power(evidence.books, request)) and 0 <= reported <= cm:
            continue  # power cut while it ran: unknown what came out
        gave[owner] += given or 0
        shown[owner] += reported
    return _Found(
        "ledgers that differ", [f"{o} gave {gave[o]} cm, reported {shown[o]}" for o in gave if gave[o] != shown[o]]
    )


def _reported(books: Books, request: str) -> int:
    return sum(books.kept_cm.get(spot, 0) for spot, _ in books.reports.get(request, ()))


def _lost_power(books: Books, request: str) -> bool:
    reports = [report for _, report in books.reports.get(request, ())]
    return any(isinstance(report, Dispensed | LocalRation) and report.fault == "power" for report in reports)


def _unacknowledged(evidence: Evidence) -> _Found:
    """Reports that were never acknowledged, by the dispenser's own count, and motor runs unknown to Kafka."""
    left = [visitor_log[-1] if visitor_log else None for visitor_log in evidence.visitor_logs]
    unacknowledged = [
        f"crowd {number} has {end.unacknowledged} unacknowledged reports"
        if isinstance(end, PowerOff)
        else f"crowd {number} died"
        for number, end in enumerate(left, 1)
        if not (isinstance(end, PowerOff) and end.unacknowledged == 0)
    ]
    ran = [entry.request for entry in _all(evidence) if isinstance(entry, MotorStarted)]
    unheard = [f"the motor's run for {request}" for request in ran if request not in evidence.books.reports]
    return _Found("not noted", unacknowledged + unheard)


def _unserved(evidence: Evidence) -> _Found:
    """Visitors without an answer who did not ask again."""
    shown = {entry.request for entry in _all(evidence) if isinstance(entry, AnswerShown) and entry.what != "nothing"}
    asked = {entry.request: entry for entry in _all(evidence) if isinstance(entry, RequestSent)}
    again = {entry.instead_of for entry in asked.values()}
    return _Found("people left without an answer", sorted(asked.keys() - shown - again))


def _fold(evidence: Evidence) -> _Found:
    """Outcomes of the deciders against a plain fold of the same events, byte for byte; repetitions are allowed."""
    books = evidence.books
    return _Found(
        "events decided otherwise than by a plain fold",
        [case for spot in sorted(books.fresh) if (case := _otherwise(books, spot))],
    )


def _otherwise(books: Books, spot: Spot) -> str | None:
    expected, sent = set(books.expected.get(spot, ())), books.sent.get(spot, set())
    where = f"{spot.partition}/{spot.offset}"
    unseen = {value for value in (sent - expected) & books.sent_later if _saw_less(value, expected)}
    if (missing := expected - sent) and not unseen:
        return f"{where} should send {min(missing).decode()}, sent {[value.decode() for value in sent]}"
    strange = [value for value in sent - expected - unseen if not is_repetition(value, expected)]
    return f"{where} sent {strange[0].decode()} besides" if strange else None


def _saw_less(value: bytes, expected: Collection[bytes]) -> bool:
    """The same answer by a worker that took over, and read no template whose window had ended meanwhile."""
    outcome = decode_outcome(value)
    return any(
        isinstance(first, Answered)
        and isinstance(outcome, Answered)
        and (outcome.score or 0) < (first.score or 0)
        and structs.replace(outcome, identity=first.identity, score=first.score) == first
        for first in map(decode_outcome, expected)
    )


def is_repetition(value: bytes, expected: Collection[bytes]) -> bool:
    """The allowed answer to a redelivered event: the same command, and no centimetre that was not reported before."""
    outcome = decode_outcome(value)
    for first in map(decode_outcome, expected):
        match outcome, first:
            case Answered(repeated=True), Answered():
                return outcome.command == first.command
            case ReportKept(), ReportKept():
                return outcome.command == first.command and outcome.cm <= first.cm
            case _:
                pass
    return False


def _rows(evidence: Evidence) -> _Found:
    """The changelog's last rows, from which the next worker starts, beside those of a plain fold."""
    ours, theirs = evidence.books.rows, evidence.books.changelog
    different = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
    return _Found(
        "rows of the changelog differ from a plain fold", [_shown(key, ours, theirs) for key in sorted(different)]
    )


def _shown(key: bytes, ours: Mapping[bytes, bytes], theirs: Mapping[bytes, bytes]) -> str:
    offsets = [_offset(rows.get(key)) for rows in (ours, theirs)]
    kind = b"/".join(key.split(b"/")[:3]).decode()  # a visitor's key ends with a pseudonym
    return f"{kind} of offset {offsets[1]} instead of {offsets[0]}"


def _offset(row: bytes | None) -> str:
    return str(decode_row(row).offset) if row else "none"


def _probes(evidence: Evidence) -> _Found:
    missing = set(evidence.acknowledged) - evidence.books.probes
    return _Found("probes acknowledged and lost", [f"{site} number {number}" for site, number in sorted(missing)])


def _waits(evidence: Evidence) -> Iterator[float]:
    asked = {entry.request: entry for entry in _all(evidence) if isinstance(entry, RequestSent)}
    for entry in _all(evidence):
        if isinstance(entry, AnswerShown) and (last := asked.get(entry.request)):
            first = last
            while first.instead_of in asked:
                first = asked[first.instead_of]
            yield last.at - first.at + entry.waited_s


def _pauses(evidence: Evidence) -> Iterator[float]:
    sites = {entry.request: entry.site for entry in _all(evidence) if isinstance(entry, RequestSent)}
    answered: defaultdict[str, list[float]] = defaultdict(list)
    for entry in _all(evidence):
        if isinstance(entry, AnswerShown) and entry.what in ("dispense", "refuse") and entry.request in sites:
            answered[sites[entry.request]].append(entry.at)
    for moments in answered.values():
        yield from (later - earlier for earlier, later in pairwise(moments))


def _all(evidence: Evidence) -> Iterator[Entry]:
    for visitor_log in evidence.visitor_logs:
        yield from visitor_log


_CHECKS: tuple[Callable[[Evidence], _Found], ...] = (_ledger, _unacknowledged, _unserved, _fold, _rows, _probes)
