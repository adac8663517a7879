"""Evaluations beside each other, and beside limits: what changed, and whether by chance."""
