"""What motion, depth and scale follow from matched points: geometry alone, no networks."""
