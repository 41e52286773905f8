"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

BELOW = {
    "crowded": 0.0429,
    "crowded value": 0.02,
    "few": 4.33,
    "floor": 0.000989,
    "gain": 0.0104,
    "gap": 0.439,
    "value": 0.00885,
}
ABOVE = {
    "crowded": 0.155,
    "crowded value": 0.0964,
    "few": 7.35,
    "floor": 0.000988,
    "gain": 0.0299,
    "gap": 1.03,
    "value": 0.0118,
}
FACTORS = {
    "columns < 5": 1,
    "columns >= 5": 0.634,
    "nats < 0.3": 1,
    "nats >= 0.3": 1,
    "rows < 1,000": 1,
    "rows >= 1,000": 1,
}
