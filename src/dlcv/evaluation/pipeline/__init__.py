"""A trial: show a bag to the nodes, compare what they answer with the truth, write it all down."""

from dlcv.trial.recorded import Recording, evaluate_recording
from dlcv.trial.run import Trial, again, run
from dlcv.trial.written import TrialError, UnevaluatedError, Written

__all__ = [
    'Recording',
    'Trial',
    'TrialError',
    'UnevaluatedError',
    'Written',
    'again',
    'evaluate_recording',
    'run',
]
