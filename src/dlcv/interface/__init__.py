"""What the suite shows to others, as tables and messages: without ROS, without a network.

`nodes`, `parameters` and `arguments` say what every node offers and every launch argument is; nodes
declare themselves from them, the launch files and ``dlcv up`` start what they list, and the
reference is printed from them, so these cannot differ. `messages` reads and composes standard
messages, live or recorded. Imports `geometry`. Begin with `nodes.py`.
"""
