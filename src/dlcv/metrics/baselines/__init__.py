"""Ways to find points, to match them and to flow, OpenCV's and ours, behind one face."""
