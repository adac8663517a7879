"""The geometry of odometry: what motion, depth and scale follow from matched points; no networks."""
