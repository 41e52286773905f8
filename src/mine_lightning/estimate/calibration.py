"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0148,
    "few": 0.682,
    "floor": 0.000227,
    "gain": 0.00773,
    "gap": 0.283,
    "thin value": 0.0711,
    "unchecked": 0.03,
}
ABOVE = {
    "crowded": 5.99,
    "few": 1.68,
    "floor": 0.000397,
    "gain": 0.454,
    "gap": 0.654,
    "thin value": 0.685,
    "unchecked": 0.3,
}
FACTORS = {
    "columns < 5": 1,
    "columns >= 5": 0.994,
    "nats < 0.3": 0.917,
    "nats >= 0.3": 1.04,
    "rows < 1,000": 1.03,
    "rows < 30,000": 0.913,
    "rows >= 30,000": 0.848,
}
