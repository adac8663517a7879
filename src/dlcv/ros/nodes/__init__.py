"""One module for each node: an estimator, what it is given, and how its results are published."""
