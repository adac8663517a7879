"""Show the images of a bag to the nodes, or to their tasks alone, and keep what they answer."""
