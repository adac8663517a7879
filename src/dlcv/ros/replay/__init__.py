"""Show the images of a bag to running nodes, one after the other or in real time."""
