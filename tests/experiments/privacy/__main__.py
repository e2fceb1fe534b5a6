"""`make privacy`: what fairroll claims of faces, each with its evidence from a run on real brokers.

Non-zero exit when a claim does not hold.
"""

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from infra.tables import Table
from tests.experiments.privacy.claims import Claim, claims
from tests.experiments.privacy.stage import open_stage


async def _try(folder: Path, console: Console) -> list[Claim]:
    found: list[Claim] = []
    with console.status("starting") as status:
        async with open_stage(folder) as stage:
            status.update("people come, a site is held, a window passes")
            async for claim in claims(stage):
                console.print(f"{'holds' if claim.holds else 'DOES NOT HOLD'}: {claim.claim}", soft_wrap=True)
                found.append(claim)
    return found


def main() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fairroll-privacy-") as folder:
        found = asyncio.run(_try(Path(folder), console))
    table = Table("claim", "", "evidence")
    for claim in found:
        table.add_row(claim.claim, Text("holds") if claim.holds else Text("NO", "bold red"), claim.evidence)
    console.print(table)
    sys.exit(not all(claim.holds for claim in found))


if __name__ == "__main__":
    main()
