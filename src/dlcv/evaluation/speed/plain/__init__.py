"""Plain programs of the same papers, in the manner of the public demonstrations: to compare with.

Each does what one finds where a network was first published: eager PyTorch in single precision and
PyTorch's own memory format, nothing folded, and loops in Python where the demonstrations have them.
They run our weights, so that both sides do the same work; written by us from the papers.
"""
