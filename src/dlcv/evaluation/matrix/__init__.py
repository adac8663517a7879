"""Many bags, many configurations: a matrix of evaluations, here or on a Ray cluster.

A matrix file is read into cells, each a run of ``dlcv evaluate`` in a process of its own. A runner
runs them, a campaign counts tries and keeps what is finished, a summary says what came of it.
"""

from dlcv.evaluation.matrix.campaign import Runner, Say, run
from dlcv.evaluation.matrix.cell import Cell
from dlcv.evaluation.matrix.cluster import RayPool
from dlcv.evaluation.matrix.errors import MatrixError
from dlcv.evaluation.matrix.local import LocalPool
from dlcv.evaluation.matrix.plan import Matrix, load
from dlcv.evaluation.matrix.summary import Result, Summary

__all__ = [
    'Cell',
    'LocalPool',
    'Matrix',
    'MatrixError',
    'RayPool',
    'Result',
    'Runner',
    'Say',
    'Summary',
    'load',
    'run',
]
