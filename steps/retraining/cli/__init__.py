"""The command line of a step."""
