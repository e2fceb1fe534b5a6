"""`make city` in miniature."""

from pathlib import Path

from tests.experiments.city.city import City, grow, most_series


async def test_series_are_those_of_sites_and_dispensers_however_many_visitors_come(tmp_path: Path) -> None:
    city = City(sites=4, dispensers=5, visitors=800, parts=2)
    first, last = await grow(tmp_path, city)
    assert last.points >= 2 * first.points > 0
    assert last.series.keys() == most_series(city).keys()
    assert last.beyond(most_series(city)) == {}
