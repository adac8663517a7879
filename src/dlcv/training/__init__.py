"""One way to train: recipes say what is learned, the engine runs them and can be killed any time.

A sample is a function of the seed and its number (`recipe.Samples`); `recipes` has one file for
each system, `maps` makes maps of places. What is trained leaves through `export` as a weight file.
Imports everything below but `evaluation`. Begin with `recipe.py`, then `recipes/monodepth.py`.
"""
