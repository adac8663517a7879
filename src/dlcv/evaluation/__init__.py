"""What the answers of the nodes are worth.

`replay` shows a bag to the nodes' tasks and keeps what they answer, `scoring` makes numbers of it
and the truth, `comparison` holds them against each other and against limits, `report` draws them,
`pipeline` is the whole way, `matrix` many of them; `bench` measures networks beside baselines.
Begin with `scoring/evaluate.py`.
"""
