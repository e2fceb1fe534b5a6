"""The figures as tables on a terminal."""

from collections.abc import Sequence

from rich.console import Console

from infra.tables import Table, stacked
from tests.experiments.figures.study import FalseMatches, Study

__all__ = ["show"]


def show(console: Console, studies: Sequence[Study]) -> None:
    """Print two tables a model."""
    console.print(stacked(*(table for study in studies for table in (_ways(study), _facts(study)))))


def _ways(study: Study) -> Table:
    heads = ("compared by", "mated", "non-mated", "d'", "EER %", "D_sys", "by chance")
    table = Table(*heads, title=f"{study.model}: {study.source}")
    for way in study.ways:
        table.add_row(
            way.name,
            f"{way.mated:,}",
            f"{way.non_mated:,}",
            f"{way.decidability:.2f}",
            f"{100 * way.equal_error_rate:.2g}",
            f"{way.linkability:.3f}",
            f"{way.linkability_by_chance:.3f}",
        )
    return table


def _facts(study: Study) -> Table:
    table = Table("", "")
    for name, value in _rows(study.false_matches):
        table.add_row(name, value)
    table.add_row("rebuilt, cosine", f"{study.rebuilt_with_key:.2f} with the key, {study.rebuilt_without:.2f} without")
    return table


def _rows(found: FalseMatches) -> Sequence[tuple[str, str]]:
    return (
        ("lowest threshold", str(found.threshold)),
        ("false matches", f"{found.seen} of {found.comparisons:,}, of {found.pairs_of_people:,} pairs of people"),
        ("false match rate", f"at most {found.upper_bound:.2g} (95 %, Clopper-Pearson over pairs of people)"),
        ("", f"{found.normal:.2g} if strangers' scores were normal (extrapolated, no bound)"),
        ("false non-match rate", f"{100 * found.false_non_match_rate:.2g} %"),
    )
