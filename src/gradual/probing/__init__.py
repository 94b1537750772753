"""Finding out what a model knows: the exact and the sampled probe, the folder of a map, the check against sampling.

Asks any `Engine` about facts and gives knowledge maps; trains nothing.
"""

__all__ = ["folder", "own_answers", "probe", "prompts", "runner", "unit_worker"]
