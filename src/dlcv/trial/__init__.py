"""A trial: show a bag to the nodes, compare what they answer with the truth, write it all down."""

from dlcv.trial.run import Trial, again, run
from dlcv.trial.written import TrialError, UnevaluatedError, Written

__all__ = ['Trial', 'TrialError', 'UnevaluatedError', 'Written', 'again', 'run']
