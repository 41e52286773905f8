"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0271,
    "crowded value": 0.0187,
    "few": 1.64,
    "floor": 0.000813,
    "gain": 0.0102,
    "gap": 0.366,
    "thin value": 0.148,
    "unchecked": 0.0302,
    "value": 0.00289,
}
ABOVE = {
    "crowded": 3.21,
    "crowded value": 0.0929,
    "few": 13.5,
    "floor": 0.000997,
    "gain": 0.029,
    "gap": 1.01,
    "thin value": 1,
    "unchecked": 0.15,
    "value": 0.00619,
}
FACTORS = {
    "columns < 5": 1.02,
    "columns >= 5": 0.998,
    "nats < 0.3": 1.11,
    "nats >= 0.3": 0.837,
    "rows < 1,000": 1.11,
    "rows >= 1,000": 0.817,
}
