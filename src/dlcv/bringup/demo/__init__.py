"""The whole suite on a generated walk, with a report at the end."""

from dlcv.bringup.demo.run import DemoError, DemoOptions, run_demo

__all__ = ['DemoError', 'DemoOptions', 'run_demo']
