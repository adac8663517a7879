"""Networks as their papers give them: one paper, one file; no ROS, no pictures from a disk.

`registry` names them all. `layers` is what several are built of, `losses` what each learns by,
`weights` how their files are read, written and shipped. A network knows no other network.
Imports `interface`, `geometry` and what lies in `dlcv` itself. Begin with `superpoint.py`.
"""
