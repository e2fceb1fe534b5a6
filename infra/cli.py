"""The `fairroll` command: runs the services, and everything that operators do.

A command is a function under `@click.command()` in a module of its own, `infra/commands/<folder>/<name>.py`, and its
name in `_GROUPS`; its errors are FairrollErrors. Only the module of the given command is loaded, so that a
service imports only what it needs.
"""

import os
import sys
from importlib import import_module

import click

from models.errors import FairrollError, first_of
from models.operator_models import add_operator_models
from models.process.stop_signals import stop_on_signals

__all__ = ["main"]

_GROUPS = {
    "Run": ("run", ("up", "demo", "keyholder", "ingress", "egress", "decider", "sink")),
    "Set up": ("setup", ("provision", "apply", "init-metrics", "ca", "broker", "calibrate")),
    "Operate": ("operate", ("status", "dead-letters", "set-aside", "preview")),
    "Privacy": ("privacy", ("hold", "resume", "receipts", "audit", "compliance")),
    "Replay": ("replay", ("record", "replay", "explain")),
}
"""The sections of `fairroll --help`: each one's folder of `infra.commands`, and its commands in order."""
_FOLDERS = {name: folder for folder, names in _GROUPS.values() for name in names}


class _Commands(click.Group):
    """Loads a command when it is used, and lists the commands by section."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_FOLDERS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _FOLDERS:
            return None
        function = name.replace("-", "_")
        command: click.Command = getattr(import_module(f"infra.commands.{_FOLDERS[name]}.{function}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, _FOLDERS))
        for title, (_, names) in _GROUPS.items():
            loaded = [(name, self.get_command(ctx, name)) for name in names]
            limit = formatter.width - 6 - widest
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(widest), command.get_short_help_str(limit)) for name, command in loaded if command]
                )


def main() -> None:
    """The `fairroll` command; an error is printed in one line."""
    stop_on_signals()
    code = 0
    try:
        add_operator_models(os.environ)
        commands(prog_name="fairroll")
    except* FairrollError as group:
        error = first_of(group)
        click.echo(f"fairroll: {error}", err=True)
        code = error.exit_code
    sys.exit(code)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """A fair share of paper for everyone, a face kept for no one.

    Addresses and files come from FAIRROLL_ variables: FAIRROLL_MQTT, FAIRROLL_KAFKA, FAIRROLL_INFLUX_URL,
    FAIRROLL_SITES and so on (docs/operations.md).
    """


if __name__ == "__main__":
    main()
