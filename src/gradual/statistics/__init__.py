"""Numbers in, numbers out: values with intervals, paired tests, resampling over facts and seeds, odds ratios.

Knows no fact, level, file or model.
"""

__all__ = ["calibration", "intervals", "measure_text", "measures", "odds_ratios", "refusal_scores", "resampling"]
