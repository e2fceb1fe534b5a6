"""`make city`: 2,000 dispensers, 100,000 visitors, and how many series their metrics have in a real InfluxDB.

Non-zero exit when any series is not one that its sites and dispensers bring about.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from infra.tables import Table
from tests.experiments.city.city import City, grow, most_series


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.city", description=__doc__)
    parser.add_argument("--sites", type=int, default=City().sites)
    parser.add_argument("--visitors", type=int, default=City().visitors)
    parser.add_argument("--seed", type=int, default=City().seed)
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    city = City(sites=options.sites, visitors=options.visitors, seed=options.seed)
    with tempfile.TemporaryDirectory(prefix="fairroll-city-") as folder:
        counted = asyncio.run(grow(Path(folder), city))
    table = Table("visitors", "series", "a dispenser", title=f"{city.sites * city.dispensers:,} dispensers")
    for one in counted:
        a_dispenser = one.total / (city.sites * city.dispensers)
        table.add_row(f"{one.visitors:,}", f"{one.total:,}", f"{a_dispenser:.2f}")
    Console().print(table)
    if beyond := counted[-1].beyond(most_series(city)):
        sys.exit(f"more series than sites and dispensers have: {beyond}")


if __name__ == "__main__":
    main()
