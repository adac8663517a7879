"""Parts that several networks share: blocks, samplers, correlation."""
