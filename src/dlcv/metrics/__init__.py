"""What the numbers mean: each metric as its field defines it, on plain arrays."""
