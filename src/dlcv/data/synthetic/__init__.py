"""Drawn training data: shapes with corners, layers that move, and the photos they show."""
