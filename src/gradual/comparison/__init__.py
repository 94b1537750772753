"""Many runs that share what they have in common: arms, seeds, retests, and the folder that holds them.

Makes runs; what they show is for `findings`.
"""

__all__ = ["arms", "compare", "estimate", "folder"]
