"""All commands on one application; the console script loads the one that is asked for alone."""

from tikval.cli.app import app, load_commands

load_commands(())

__all__ = ["app"]
