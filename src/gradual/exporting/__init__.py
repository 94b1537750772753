"""Carries a run's model away: the adapter or merged weights with a card, to the Hub, and its data to other toolkits.

Knows runs, comparisons and the tables of their reports; not how a stage is trained or a fact probed.
"""

__all__ = ["export"]
