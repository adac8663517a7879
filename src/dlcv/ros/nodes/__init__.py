"""One module for each node: an estimator, what it is given, and how its results are published.

The allocator is set here, before a node imports anything: libraries start threads as they are
imported, and a thread keeps the arena that it found. Later, SuperPoint would take a quarter longer.
"""

from dlcv.estimation.memory import keep_freed_memory

keep_freed_memory()
