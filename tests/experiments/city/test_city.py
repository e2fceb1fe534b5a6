"""`make city` in miniature."""

from pathlib import Path

from tests.experiments.city.city import MOST_GROWTH, City, grow


async def test_series_are_bounded_by_dispensers_and_not_by_visitors(tmp_path: Path) -> None:
    city = City(sites=4, dispensers=5, visitors=800, parts=2)
    first, last = await grow(tmp_path, city)
    assert last.points >= 2 * first.points > 0
    assert last.series <= MOST_GROWTH * first.series
    assert last.series < 10 * city.sites * city.dispensers + 100
