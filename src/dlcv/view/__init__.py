"""Pictures for eyes: overlays, colours of flow and depth, panels, plots. NumPy in, NumPy out.

Imports what lies in `dlcv` itself. Begin with `panel.py`.
"""
