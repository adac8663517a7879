"""How fast running nodes are: real processes, fed over real topics at the rates that are asked for.

`processes` starts what a plan starts and tells what it takes of the machine; `stage` is the camera
and the listener; `measure` makes tables of both.
"""
