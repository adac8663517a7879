"""The command line: ``dlcv COMMAND ...``; each command is a module that is imported when asked for."""
