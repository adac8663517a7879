"""The whole suite on a generated drive, with a report at the end."""

from dlcv.demo.run import DemoError, DemoOptions, run_demo

__all__ = ['DemoError', 'DemoOptions', 'run_demo']
