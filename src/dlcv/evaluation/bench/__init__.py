"""Accuracy of the shipped networks beside classical methods, in one run."""
