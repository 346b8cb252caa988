"""All commands on one application; the console script loads the one that is asked for alone."""

from tikval.cli.app import MODULES, app, load_commands

load_commands(MODULES)

__all__ = ["app"]
