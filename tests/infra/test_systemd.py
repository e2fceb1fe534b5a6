"""The units that run fairroll on hosts of its own: systemd finds nothing to say about them."""

import asyncio
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "infra/systemd"
SYSTEM = Path("/usr/lib/systemd/system")
INSTANCES = {"fairroll-dispenser@.service": "fairroll-dispenser@park-gate.left.service"}
HARDENED = (
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "ProtectSystem=strict",
    "Restart=always",
    "StartLimitIntervalSec=0",
    "TimeoutStopSec=10",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host on which fairroll is installed as docs/operations.md describes."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(SYSTEM, root / "usr/lib/systemd/system", symlinks=True)
    shutil.copytree(UNITS, root / "etc/systemd/system")
    for program in ("opt/fairroll/bin/fairroll", "opt/fairroll/bin/dispenser", "bin/sh", "usr/bin/mkfifo"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    return root


def names() -> list[str]:
    files = [path.name for path in UNITS.iterdir() if path.suffix in {".service", ".target"}]
    return sorted(INSTANCES.get(name, name.replace("@.", "@1.")) for name in files)


def verified(root: Path, unit: str) -> str:
    command = ("systemd-analyze", "verify", "--man=no", f"--root={root}", str(root / "etc/systemd/system" / unit))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return f"{done.stdout}{done.stderr}{done.returncode or ''}"


@pytest.mark.parametrize("unit", names())
def test_systemd_finds_nothing_to_say_about_a_unit(root: Path, unit: str) -> None:
    assert verified(root, unit) == ""


@pytest.mark.parametrize("unit", [name for name in names() if name.endswith(".service")])
def test_what_all_units_have_in_common_reaches_each(root: Path, unit: str, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "other", symlinks=True)
    common = tmp_path / "other/etc/systemd/system/fairroll-.service.d/all.conf"
    assert set(HARDENED) <= set(common.read_text().splitlines())
    common.write_text(common.read_text() + "Misspelt=yes\n")
    assert "Unknown key 'Misspelt'" in verified(tmp_path / "other", unit)


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_every_service_has_a_user_a_bound_on_memory_and_a_start_at_boot(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert any(line.startswith("User=fairroll") for line in lines)
    assert any(line.startswith("MemoryMax=") for line in lines)
    assert any(line.startswith("WantedBy=") for line in lines)


def test_the_users_are_made_by_systemd_sysusers(tmp_path: Path) -> None:
    for folder in ("etc", "usr/lib/sysusers.d"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(UNITS / "fairroll.sysusers.conf", tmp_path / "usr/lib/sysusers.d/fairroll.conf")
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, timeout=60)
    users = [line.partition(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert users == ["fairroll", "fairroll-dispenser"]


async def test_a_dispenser_gets_its_name_and_reads_presses_for_as_long_as_it_runs(tmp_path: Path) -> None:
    """The shell's line of the unit, with a dispenser that prints what it is given."""
    given = tmp_path / "dispenser"
    given.write_text('#!/bin/sh\necho "$@"\nwhile read -r pressed; do echo "$pressed"; done\n')
    given.chmod(0o755)
    os.mkfifo(tmp_path / "presses")
    process = await asyncio.create_subprocess_exec(
        *_start("fairroll-dispenser@.service", "park-gate.left", given),
        env={"RUNTIME_DIRECTORY": str(tmp_path), "DISPENSER_OPTIONS": "--patience 2", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 10) == b"run --patience 2 park-gate left\n"
        for press in (b"button\n", b"staff\n"):
            (tmp_path / "presses").write_bytes(press)
            assert await asyncio.wait_for(process.stdout.readline(), 10) == press
        assert process.returncode is None
    finally:
        process.terminate()
        await process.wait()


def _start(unit: str, instance: str, program: Path) -> list[str]:
    """What systemd makes of ExecStart: `%%` and `$$` stand for one of each, `%i` for the instance."""
    [line] = [line for line in (UNITS / unit).read_text().splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart=").replace("/opt/fairroll/bin/dispenser", str(program)))
    return [instance if word == "%i" else word.replace("%%", "%").replace("$$", "$") for word in words]
