"""The command line, ``dlcv COMMAND ...``: each command is a module, imported when asked for."""
