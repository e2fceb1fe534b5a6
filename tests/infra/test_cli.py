"""`fairroll` speaks in one line, and Ctrl-C stops all of it."""

import subprocess
import sys
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from infra.cli import commands
from infra.local.programs import PROCESSES
from models.settings import Settings


def test_wrong_setting_is_one_line_and_exit_code_2() -> None:
    command = (sys.executable, "-m", "infra.cli", "provision")
    result = subprocess.run(command, env={"FAIRROLL_PARTITIONS": "many"}, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("fairroll: FAIRROLL_PARTITIONS='many'")


@pytest.mark.parametrize("command", commands.list_commands(click.Context(commands)))
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(commands, [command, "--help"])
    assert result.exit_code == 0
    assert f"commands {command}" in result.output


@pytest.mark.parametrize("service", PROCESSES)
def test_every_service_is_found_and_run(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Settings] = []
    monkeypatch.setattr(import_module(f"infra.commands.run.{service}"), "run", ran.append)
    assert CliRunner().invoke(commands, [service]).exit_code == 0
    assert len(ran) == 1


def test_help_lists_every_command_by_section_and_cuts_no_line() -> None:
    shown = CliRunner().invoke(commands, ["--help"], terminal_width=80).output
    sections = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections == ["Options:", "Run:", "Set up:", "Operate:", "Privacy:", "Replay:"]
    for name in commands.list_commands(click.Context(commands)):
        assert f"\n  {name} " in shown
    assert not [line for line in shown.splitlines() if line.startswith("  ") and line.endswith("...")]


def test_a_service_loads_nothing_of_what_operators_use() -> None:
    loaded = "import sys; from infra.cli import commands; commands.get_command(None, sys.argv[1]); print(*sys.modules)"
    command = (sys.executable, "-c", loaded, "egress")
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "infra.commands.run.egress" in modules
    assert not {"numpy", "infra.commands.operate", "infra.commands.run.ingress", "infra.audit"} & set(modules)
