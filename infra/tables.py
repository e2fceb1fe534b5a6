"""Tables for commands that keep all text, also in a narrow terminal and in a pipe.

A table has fixed-width columns. If they are too wide, cells wrap between words; if even the longest words do not
fit side by side, each row becomes a block of lines, one per column.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

__all__ = ["Table", "stacked"]

_GAP = 2
_NARROWEST = 16
"""The minimum width of a cell next to its head in a block; narrower cells are printed below their heads."""
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(?: ?%)?(?: → [-+]?[\d,]*\.?\d+)?")
_HEAD, _RULE = "bold", "dim"
_Justify = Literal["left", "right"]


class Table:
    """Rows of cells under heads; a column of numbers is right-aligned. Heads that are all empty are not shown."""

    def __init__(self, *heads: str, title: str = "") -> None:
        self._heads = [Text(head, _HEAD) for head in heads]
        self._title = title
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row; missing cells at its end are empty. A Text has its own style."""
        row = [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
        self._rows.append(row + [Text()] * (len(self._heads) - len(row)))

    def __len__(self) -> int:
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title:
            yield Text(self._title, _HEAD)
        widths = self._widths(options.max_width)
        yield from self._in_columns(console, widths) if widths else self._in_blocks(console, options.max_width)

    @property
    def _has_heads(self) -> bool:
        return any(head.plain for head in self._heads)

    def _columns(self) -> Iterator[tuple[Text, ...]]:
        """Yield the cells of each column, the head first."""
        return zip(self._heads, *self._rows, strict=True)

    def _widths(self, most: int) -> list[int] | None:
        """Return the widths of the columns; None if their longest words do not fit side by side."""
        columns = list(self._columns())
        full = [max(_line_width(cell) for cell in column) for column in columns]
        widths = [max(_word_width(cell) for cell in column) for column in columns]
        spare = most - _GAP * (len(columns) - 1) - sum(widths)
        if spare < 0:
            return None
        while spare and (growing := [i for i, width in enumerate(widths) if width < full[i]]):
            widths[min(growing, key=widths.__getitem__)] += 1
            spare -= 1
        return widths

    def _in_columns(self, console: Console, widths: Sequence[int]) -> Iterator[Text]:
        sides = [_justify(cells) for _, *cells in self._columns()]
        rows = [list(_wrapped(console, row, widths, sides)) for row in self._rows]
        if self._has_heads:
            yield from _wrapped(console, self._heads, widths, sides)
            yield Text("─" * (sum(widths) + _GAP * (len(widths) - 1)), _RULE)
        for number, lines in enumerate(rows):
            is_apart = number and max(len(lines), len(rows[number - 1])) > 1
            yield from (Text(), *lines) if is_apart else lines

    def _in_blocks(self, console: Console, most: int) -> Iterator[Text]:
        widest = max(_line_width(head) for head in self._heads)
        beside = most - widest - _GAP
        for number, row in enumerate(self._rows):
            if number:
                yield Text()
            for head, cell in zip(self._heads, row, strict=True):
                if cell.plain and beside >= _NARROWEST:
                    yield from _wrapped(console, (head, cell), (widest, beside), ("left", "left"))
                elif cell.plain:
                    yield from head.wrap(console, most, overflow="fold")
                    yield from cell.wrap(console, most, overflow="fold")


def stacked(*parts: RenderableType) -> Group:
    """Stack parts with an empty line between them; a table without rows is left out."""
    shown = [part for part in parts if not isinstance(part, Table) or len(part)]
    return Group(*(piece for number, part in enumerate(shown) for piece in ((Text(), part) if number else (part,))))


def _wrapped(
    console: Console, cells: Iterable[Text], widths: Sequence[int], sides: Sequence[_Justify]
) -> Iterator[Text]:
    """Return the lines of one row."""
    parts = [cell.wrap(console, width, overflow="fold") for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, parts))):
        line = Text()
        for part, width, side in zip(parts, widths, sides, strict=True):
            piece = part[number].copy() if number < len(part) else Text()
            piece.rstrip()
            piece.align("right" if side == "right" else "left", width)
            line.append_text(piece).append(" " * _GAP)
        line.rstrip()
        yield line


def _justify(cells: Sequence[Text]) -> _Justify:
    words = [cell.plain for cell in cells if cell.plain]
    return "right" if words and all(_NUMBER.fullmatch(word) for word in words) else "left"


def _line_width(cell: Text) -> int:
    return max((Text(line).cell_len for line in cell.plain.split("\n")), default=0)


def _word_width(cell: Text) -> int:
    return max((Text(word).cell_len for word in cell.plain.split()), default=0)
