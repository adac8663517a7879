"""A trial: show a bag to the nodes, compare what they answer with the truth, write it all down."""

from dlcv.trial.run import Trial, again, run
from dlcv.trial.written import TrialError, Written

__all__ = ['Trial', 'TrialError', 'Written', 'again', 'run']
