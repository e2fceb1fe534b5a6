"""`make city`: 2,000 dispensers, 100,000 visitors, and how many series their metrics have in a real InfluxDB.

Non-zero exit when series grow with visitors.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.experiments.city.city import MOST_GROWTH, City, grow


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
        a_dispenser = one.series / (city.sites * city.dispensers)
        table.add_row(f"{one.visitors:,}", f"{one.series:,}", f"{a_dispenser:.2f}")
    Console().print(table)
    sys.exit(counted[-1].series > MOST_GROWTH * counted[0].series)


if __name__ == "__main__":
    main()
