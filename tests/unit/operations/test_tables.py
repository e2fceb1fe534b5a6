"""A table loses nothing, whatever the width."""

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from infra.tables import Table
from tests.experiments.chaos.checker import Verdict
from tests.experiments.chaos.table import show

WORDS = st.text("abcdefgh []/'`\\-0123456789é漢", max_size=30)
PRINTED = "─"


def shown(table: Table, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def a_table() -> Table:
    table = Table("site", "online", "offline", title="dispensers")
    table.add_row("park", "1,200", "d1 for 3 min, d2 for 5 min")
    table.add_row("hall", "9")
    return table


def test_what_fits_is_columns_with_numbers_to_the_right() -> None:
    assert shown(a_table(), 80) == [
        "dispensers",
        "site  online  offline",
        "────────────────────────────────────────",
        "park   1,200  d1 for 3 min, d2 for 5 min",
        "hall       9",
    ]


def test_what_is_too_wide_wraps_between_words() -> None:
    assert shown(a_table(), 30) == [
        "dispensers",
        "site  online  offline",
        "──────────────────────────────",
        "park   1,200  d1 for 3 min, d2",
        "              for 5 min",
        "",
        "hall       9",
    ]


def test_where_words_do_not_fit_each_row_is_a_block() -> None:
    table = Table("file", "SHA-256")
    table.add_row("a.jsonl.zst", "0123456789abcdef0123456789abcdef")
    assert shown(table, 42) == ["file     a.jsonl.zst", "SHA-256  0123456789abcdef0123456789abcdef"]


def test_a_table_without_heads_has_no_rule() -> None:
    table = Table("", "")
    table.add_row("requests", "522")
    assert shown(table, 80) == ["requests  522"]


def test_markup_and_styles_of_cells_are_not_read_from_their_words() -> None:
    table = Table("", "")
    table.add_row("[bold]", Text("ready", "green"))
    assert shown(table, 80) == ["[bold]  ready"]


@pytest.mark.parametrize("is_terminal", [True, False])
@given(rows=st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=4), width=st.integers(2, 120))
def test_nothing_is_cut_at_any_width(rows: list[tuple[str, str, str]], width: int, *, is_terminal: bool) -> None:
    table = Table("one", "two", "three")
    for row in rows:
        table.add_row(*row)
    console = Console(width=width, force_terminal=is_terminal, no_color=True, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    text = captured.get()
    wanted = Counter("".join(chain.from_iterable(rows)))
    seen = Counter(text)
    assert all(seen[character] >= count for character, count in wanted.items() if not character.isspace())
    assert all(Text(line).cell_len <= width for line in text.splitlines())


@pytest.mark.parametrize("is_terminal", [True, False])
def test_chaos_table_fits_eighty_columns_and_keeps_every_number(*, is_terminal: bool) -> None:
    verdict = Verdict(
        asked=12137,
        in_kafka=12138,
        decided=12139,
        in_time=12140,
        rations=1379,
        lost=21,
        doubled=22,
        late=23,
        longest_s=13.07,
        pause_s=116.7,
        went=4,
        off=("something",),
    )
    console = Console(width=80, force_terminal=is_terminal, no_color=True, color_system=None)
    with console.capture() as captured:
        show(console, "200 requests/s", [("everything twice and out of order", verdict)])
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    for word in (
        "everything",
        "twice",
        "12137",
        "12138",
        "12139",
        "12140",
        "1379",
        "21,",
        "22,",
        "23",
        "13.07",
        "116.70",
    ):
        assert word in words
    assert "OFF" in words
