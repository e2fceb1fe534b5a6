"""The dashboards against the types that Grafana publishes of its own schema, by the TypeScript compiler."""

import shutil
import subprocess
from pathlib import Path

import pytest

from grafana.__main__ import HERE

TYPES = HERE / "types"
INSTALLED = HERE.parent / ".local" / "grafana-types"
DASHBOARDS = sorted((HERE / "dashboards").iterdir())

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None,
    reason="npm is missing, so the dashboards' types are not checked: make setup installs it",
)


@pytest.fixture(scope="module")
def compiler() -> Path:
    """The versions of the lock file; no script of a package runs. It needs npm's registry once."""
    locked = [(TYPES / name).read_text() for name in ("package.json", "package-lock.json")]
    there = [INSTALLED / name for name in ("package.json", "package-lock.json")]
    tsc = INSTALLED / "node_modules" / ".bin" / "tsc"
    if not (tsc.exists() and [path.read_text() for path in there] == locked):
        INSTALLED.mkdir(parents=True, exist_ok=True)
        for path, text in zip(there, locked, strict=True):
            path.write_text(text)
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=INSTALLED, check=True, timeout=200
        )
    return tsc


def complaints(compiler: Path, folder: Path, dashboards: dict[str, str]) -> list[str]:
    (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
    for name in ("dashboard.ts", "tsconfig.json"):
        shutil.copy(TYPES / name, folder)
    for name, text in dashboards.items():
        source = f'import type {{ Board }} from "./dashboard";\nexport const board: Board = {text};\n'
        (folder / f"{name}.ts").write_text(source)
    done = subprocess.run(
        [compiler, "-p", folder, "--preserveSymlinks"], capture_output=True, text=True, check=False, timeout=200
    )
    return done.stdout.splitlines()


def test_every_dashboard_is_of_grafana_s_types(compiler: Path, tmp_path: Path) -> None:
    assert complaints(compiler, tmp_path, {path.stem: path.read_text() for path in DASHBOARDS}) == []


def test_a_misspelt_key_and_a_value_that_grafana_does_not_know_are_found(compiler: Path, tmp_path: Path) -> None:
    text = (HERE / "dashboards" / "city.json").read_text()
    spoiled = {
        "key": text.replace('"noValue"', '"noVelue"').replace('"timezone"', '"timezome"', 1),
        "colour": text.replace('"colorMode": "value"', '"colorMode": "valeu"', 1),
        "stacking": text.replace('"mode": "normal"', '"mode": "normel"', 1),
        "kind": text.replace('"type": "timeseries"', '"type": "timeserious"', 1),
    }
    assert all(changed != text for changed in spoiled.values())
    found = complaints(compiler, tmp_path, spoiled)
    assert {line.partition(".ts")[0].rpartition("/")[2] for line in found if "error TS" in line} == set(spoiled)
