"""Training losses as pure functions, one file for each paper."""
