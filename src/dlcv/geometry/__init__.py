"""Rotations, rigid motions and camera maths."""
