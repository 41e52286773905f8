"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0293,
    "crowded value": 0.0185,
    "few": 1.53,
    "floor": 0.001,
    "gain": 0.01,
    "gap": 0.0726,
    "thin value": 0.144,
    "value": 0.004,
}
ABOVE = {
    "crowded": 0.532,
    "crowded value": 0.0764,
    "few": 3.2,
    "floor": 0.000974,
    "gain": 0.0289,
    "gap": 1,
    "thin value": 1,
    "value": 0.00716,
}
FACTORS = {
    "columns < 5": 0.905,
    "columns >= 5": 1.01,
    "nats < 0.3": 1.06,
    "nats >= 0.3": 0.923,
    "rows < 1,000": 0.986,
    "rows >= 1,000": 0.881,
}
