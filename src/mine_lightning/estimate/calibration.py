"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0148,
    "few": 0.681,
    "floor": 0.000227,
    "gap": 0.283,
    "thin value": 0.0703,
    "unchecked": 0.03,
}
ABOVE = {
    "crowded": 5.68,
    "few": 2.52,
    "floor": 0.00122,
    "gap": 0.714,
    "thin value": 2.92,
    "unchecked": 0.3,
}
FACTORS = {
    "columns < 5": 0.954,
    "columns >= 5": 1.05,
    "nats < 0.3": 0.959,
    "nats >= 0.3": 1.06,
    "rows < 1,000": 1,
    "rows < 30,000": 0.944,
    "rows >= 30,000": 1.14,
}
