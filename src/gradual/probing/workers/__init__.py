"""Units on workers that may come and go: what one is, how they share units, and Ray, which starts them."""

__all__ = ["cluster"]
