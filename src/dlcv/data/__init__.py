"""Where pictures and what is true about them come from.

`bags` reads and writes recordings of robots, `datasets` the folders of public sets, `recordings`
puts one face on both; `world` and `synthetic` draw what no camera took, `augment` changes pictures
and keeps their truth. Imports `interface`, `geometry` and what lies in `dlcv` itself; nothing here
knows a network. Begin with `recordings`.
"""
