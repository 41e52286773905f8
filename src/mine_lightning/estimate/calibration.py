"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0271,
    "few": 1.27,
    "floor": 0.000408,
    "gain": 0.00928,
    "gap": 0.298,
    "thin value": 0.115,
    "unchecked": 0.03,
}
ABOVE = {
    "crowded": 5.9,
    "few": 7.09,
    "floor": 0.00131,
    "gain": 0.0247,
    "gap": 0.71,
    "thin value": 1.7,
    "unchecked": 0.1,
}
FACTORS = {
    "columns < 5": 1,
    "columns >= 5": 1,
    "nats < 0.3": 1,
    "nats >= 0.3": 1,
    "rows < 1,000": 1.03,
    "rows >= 1,000": 0.926,
}
