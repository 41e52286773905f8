"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

BELOW = {"floor": 0.001, "few": 5.0, "gap": 0.5, "value": 0.01}
ABOVE = {"floor": 0.001, "few": 5.0, "gap": 0.5, "value": 0.01}
FACTORS = {
    "rows < 1,000": 1.0,
    "rows >= 1,000": 1.0,
    "columns < 5": 1.0,
    "columns >= 5": 1.0,
    "nats < 0.3": 1.0,
    "nats >= 0.3": 1.0,
}
