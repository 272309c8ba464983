"""Speed, measured as ratios within one run; never asserted by a test."""
