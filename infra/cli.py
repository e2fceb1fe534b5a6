"""`fairroll`: what runs the pipeline, and all that operators do.

A new command is a function under `@click.command()` in the module of its kind, and its name here; its errors are
FairrollErrors. Only the module of the command that was typed is loaded, so that a service is as small as its work.
"""

import sys
from importlib import import_module

import click

from models.errors import FairrollError, first_of

__all__ = ["main"]

_COMMANDS = {
    "up": "infra.commands.local",
    "demo": "infra.commands.local",
    "provision": "infra.commands.setup",
    "apply": "infra.commands.setup",
    "init-metrics": "infra.commands.setup",
    "keyholder": "infra.commands.services",
    "ingress": "infra.commands.services",
    "egress": "infra.commands.services",
    "decider": "infra.commands.services",
    "sink": "infra.commands.services",
    "status": "infra.commands.operate",
    "dead-letters": "infra.commands.operate",
    "hold": "infra.commands.hold",
    "resume": "infra.commands.hold",
    "receipts": "infra.commands.hold",
    "audit": "infra.commands.audit",
    "compliance": "infra.commands.compliance",
    "preview": "infra.commands.preview",
    "record": "infra.commands.replay",
    "replay": "infra.commands.replay",
    "explain": "infra.commands.explain",
}
"""Where each command is, in the order of `fairroll --help`."""


class _Commands(click.Group):
    """A command is loaded when it is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[name]), name.replace("-", "_"))
        return command


def main() -> None:
    """The `fairroll` command; what is wrong is said in a line."""
    code = 0
    try:
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
