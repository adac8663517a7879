"""What the numbers mean: each metric as its field defines it, on plain arrays.

`baselines` has what a user would take instead of a network (SIFT, DIS, five points, PnP), behind
the same face. Training and evaluation use both, so they stand below them. Begin with `quantity.py`.
"""
