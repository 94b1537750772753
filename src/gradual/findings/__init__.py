"""What a comparison showed: each arm's numbers, contrasts between arms, noise, entities, the verdict in words.

Reads the folder of a comparison; trains and probes nothing, and draws no page.
"""

__all__ = ["answer_record", "beyond", "entities", "read", "record", "refusal_record", "verdict"]
