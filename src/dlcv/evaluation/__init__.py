"""What the outputs of the nodes are worth: metrics against the truth, plots, moments to look at."""
