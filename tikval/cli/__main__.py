"""python -m tikval.cli, where the console script is not on the path."""

from tikval.cli.app import main

main()
