"""`python -m infra.setup.metric_docs` writes the tables of docs/metrics.md from models/metrics/catalogue.py."""

from collections.abc import Iterator
from pathlib import Path

from models.metrics.catalogue import MEASUREMENTS
from models.metrics.schema import Field, Measurement, Tag

__all__ = ["MARK", "PAGE", "tables"]

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
MARK = "<!-- from here on written by python -m infra.setup.metric_docs, from models/metrics/catalogue.py -->\n"
_KEPT = {"event": "a point for each", "period": "a point for each closed period", "sample": "a point for each sample"}


def tables() -> str:
    """Return a section for each measurement, in Markdown."""
    return "\n".join(line for measurement in MEASUREMENTS for line in _section(measurement)) + "\n"


def _section(measurement: Measurement) -> Iterator[str]:
    yield from ("", f"## {measurement.name}", "")
    yield f"{measurement.meaning} {_KEPT[measurement.kept].capitalize()}. For: {', '.join(measurement.readers)}."
    yield from ("", "| name | is | unit | hours | means |", "|---|---|---|---|---|")
    yield from map(_tag, measurement.tags)
    yield from map(_field, measurement.fields)


def _tag(tag: Tag) -> str:
    values = f": {', '.join(f'`{value}`' for value in sorted(tag.values))}" if tag.values else ""
    return f"| `{tag.name}` | tag | | | {tag.meaning}{values} |"


def _field(field: Field) -> str:
    return f"| `{field.name}` | {field.kind} | {field.unit} | {field.hourly or ''} | {field.meaning} |"


def main() -> None:
    prose, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(prose + MARK + tables())


if __name__ == "__main__":
    main()
