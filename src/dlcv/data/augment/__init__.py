"""Random changes of pictures, with the truth kept: light, viewpoint, motion."""
