"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0148,
    "few": 0.682,
    "floor": 0.000227,
    "gap": 0.283,
    "thin value": 0.0705,
    "unchecked": 0.03,
}
ABOVE = {
    "crowded": 5.8,
    "few": 4.1,
    "floor": 0.00123,
    "gap": 0.666,
    "thin value": 2.92,
    "unchecked": 0.3,
}
FACTORS = {
    "columns < 5": 0.928,
    "columns >= 5": 1.05,
    "nats < 0.3": 0.945,
    "nats >= 0.3": 1.01,
    "rows < 1,000": 0.987,
    "rows < 30,000": 0.944,
    "rows >= 30,000": 1.19,
}
