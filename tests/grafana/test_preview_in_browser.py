"""The preview of a real run, in a real browser."""

import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs

from grafana.boards import BOARDS
from grafana.interpolation import ALL
from infra.preview.chromium import Page, open_page
from infra.preview.page import query_boards, write_page, write_pictures
from models.errors import ConfigError
from tests.grafana.influx import ask
from tests.grafana.scene import Scene
from tests.support.processes import fairroll

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

boards = {board.title: board for board in BOARDS}
NAMES = [board.title.lower() for board in BOARDS]
NOT_DRAWN = """[...document.querySelectorAll('article')].filter(panel => {
    const plot = panel.querySelector('.plot');
    const inside = plot
        ? plot.querySelectorAll('.scatterlayer .trace path, .barlayer .point path, .heatmaplayer image')
        : panel.querySelectorAll('tbody td, .bar b, .number b');
    return ![...inside].some(part => part.getBoundingClientRect().width > 0);
}).map(panel => panel.parentElement.parentElement.id + ': ' + panel.innerText)"""
CUT = """[...document.querySelectorAll('article, article h3, dd, .bar span, .bar b, .number b')]
    .filter(part => part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display != 'inline')
    .map(part => part.innerText)"""
SQUEEZED = """[...document.querySelectorAll('.plot')]
    .filter(plot => plot.querySelector('.nsewdrag').getBoundingClientRect().width < 0.7 * plot.clientWidth)
    .map(plot => plot.parentElement.innerText)"""
NUMBER = (
    "[...document.querySelectorAll('#fairroll-city article')].find(p => p.innerText.startsWith('Portions')).innerText"
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def written(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every dashboard, for all sites."""
    since = datetime.fromtimestamp(scene.since_ms / 1000, UTC).isoformat()
    shown = await query_boards(scene.settings, NAMES, scene.until_ms, since=since, typed={"site": ALL})
    return write_page(tmp_path_factory.mktemp("preview"), shown)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(written: Path) -> AsyncIterator[Page]:
    async with open_page(written) as page:
        yield page


async def test_every_panel_of_every_dashboard_is_drawn_with_what_the_run_left(opened: Page) -> None:
    panels = sum(len(board.panels) for board in BOARDS)
    assert await opened.evaluate("document.querySelectorAll('article').length") == panels
    assert await opened.evaluate(NOT_DRAWN) == []
    assert opened.complaints == []


async def test_no_title_is_cut_and_nothing_is_wider_than_its_panel(opened: Page) -> None:
    assert await opened.evaluate(CUT) == []


async def test_a_picture_leaves_every_plot_its_room(opened: Page) -> None:
    await opened.picture("body")
    assert await opened.evaluate(SQUEEZED) == []


async def test_the_page_says_what_influxdb_says(opened: Page, scene: Scene) -> None:
    times = f"time >= {scene.since_ms}ms AND time <= {scene.until_ms}ms"
    [series] = await ask(scene.settings, f"SELECT sum(n) AS n FROM answers WHERE {times} AND outcome = 'dispense'")
    assert (await opened.evaluate(NUMBER)).split() == ["Portions", f"{series.of('n')[0]}"]


async def test_a_link_leads_to_another_dashboard_of_the_page(opened: Page) -> None:
    missing = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    assert await opened.evaluate("document.querySelectorAll('nav a').length") == len(NAMES)
    assert await opened.evaluate(missing) == 0


async def test_each_dashboard_has_a_picture_of_its_own(written: Path, scene: Scene) -> None:
    shown = await query_boards(scene.settings, NAMES, scene.until_ms)
    pictures = await write_pictures(written, shown)
    assert [path.name for path in pictures] == [f"{name}.png" for name in NAMES]
    for path in pictures:
        width, height = size(path.read_bytes())
        assert width == 1440
        assert height > 600


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize("script", ["console.error('no')", "setTimeout(() => { throw Error('no') })", "fetch('none:')"])
async def test_a_page_with_an_error_would_be_found(script: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<script>{script}; window.drawn = new Promise(done => setTimeout(done, 300))</script>")
    async with open_page(path) as page:
        assert page.complaints


async def test_the_command_says_where_page_and_pictures_are(scene: Scene, tmp_path: Path) -> None:
    code, out, err = await fairroll(
        scene.settings,
        "preview",
        "city",
        "site",
        "--from",
        "-1h",
        "--var",
        "site=meadow",
        "--folder",
        str(tmp_path / "p"),
    )
    assert (code, err) == (0, "")
    assert [Path(line).name for line in out.splitlines()] == ["preview.html", "city.png", "site.png"]
    text = (tmp_path / "p" / "preview.html").read_text()
    assert "<dd>meadow</dd>" in text
    assert 'href="#fairroll-site" title="This site">meadow' in text


async def test_without_chromium_the_command_writes_the_page_and_says_what_a_picture_needs(
    scene: Scene, tmp_path: Path
) -> None:
    code, out, err = await fairroll(scene.settings, "preview", "site", "--folder", str(tmp_path), PATH="/nowhere")
    assert code == 0
    assert out.strip() == str(tmp_path / "preview.html")
    assert (tmp_path / "preview.html").read_text().count("<dd>hall</dd>") == 1, "the first site where none is chosen"
    assert "chromium is missing" in err


@pytest.mark.parametrize(
    ("since", "until", "typed", "complaint"),
    [
        ("soon", "now", {}, "soon is no time"),
        ("now", "-1h", {}, "the range ends before it begins"),
        ("-1h", "now", {"planet": "mars"}, "no dashboard here has a variable planet"),
    ],
)
async def test_what_is_typed_wrong_is_refused(
    since: str, until: str, typed: dict[str, str], complaint: str, scene: Scene
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await query_boards(scene.settings, ["city"], scene.until_ms, since=since, until=until, typed=typed)


async def test_a_board_without_its_shadow_says_so_and_the_others_are_drawn(scene: Scene, tmp_path: Path) -> None:
    shown = await query_boards(scene.settings, ["city", "replay"], scene.until_ms, typed={"shadow": "nowhere"})
    text = write_page(tmp_path, shown).read_text()
    assert text.count("No data: retention policy not found: nowhere") == len(boards["Replay"].panels)
    assert text.count('<p class="nothing">') < len(boards["City"].panels) + len(boards["Replay"].panels)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"influx_url": "http://127.0.0.1:9"}, "Cannot connect to host"),
        ({"influx_token": "wrong"}, "401: "),
        ({"influx_bucket": "nowhere"}, "database not found: nowhere"),
    ],
)
async def test_an_influxdb_that_answers_nothing_is_the_operator_s_to_mend(
    changes: dict[str, str], complaint: str, scene: Scene
) -> None:
    settings = structs.replace(scene.settings, **changes)
    with pytest.raises(ConfigError, match=rf"FAIRROLL_INFLUX_URL, .* does not answer: .*{complaint}"):
        await query_boards(settings, ["city"], scene.until_ms)
