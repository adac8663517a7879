"""What people see of an evaluation: a page, plots, and the same as text."""
