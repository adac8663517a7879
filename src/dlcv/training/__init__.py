"""One way to train: recipes, and the engine that runs them."""
