"""A page about a recorded run: what each node answered, how fast, and what it looks like."""

from dlcv.report.collect import Summary, summarise
from dlcv.report.page import table, write_report

__all__ = ['Summary', 'summarise', 'table', 'write_report']
