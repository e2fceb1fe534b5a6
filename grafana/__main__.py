"""`python -m grafana` writes the generated files.

`--check` only compares, and fails where a generated file differs from the code.
"""

import sys
from pathlib import Path

from grafana.alerts import rules
from grafana.boards import BOARDS
from grafana.rendering import render

__all__ = ["HERE", "generated", "main"]

HERE = Path(__file__).parent


def generated() -> dict[Path, str]:
    """Every generated file and its text."""
    boards = {HERE / "dashboards" / f"{board.title.lower()}.json": render(board) for board in BOARDS}
    return boards | {HERE / "provisioning" / "alerting" / "rules.yaml": rules()}


def main(arguments: list[str]) -> int:
    """Write, or compare."""
    files = generated()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    only_check = arguments == ["--check"]
    for path in stale:
        if not only_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
        sys.stdout.write(f"{path.relative_to(HERE.parent)}{' differs from the code' if only_check else ''}\n")
    return 1 if stale and only_check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
