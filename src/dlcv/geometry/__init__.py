"""Rotations, rigid motions and camera maths, in NumPy; nothing here knows a picture's content.

Frames and directions are in the names: ``world_from_camera`` takes camera points to the world.
Imports what lies in `dlcv` itself. Begin with `camera.py`.
"""
