"""The command line, ``dlcv COMMAND ...``: each command is a module, imported when asked for.

Nothing is computed here: a command reads its options, calls a wing and prints. Begin with
`main.py`.
"""
