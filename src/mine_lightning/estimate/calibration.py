"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""

SEEN = 0.3
BELOW = {
    "crowded": 0.0133,
    "few": 0.599,
    "floor": 0.000221,
    "gain": 0.0078,
    "gap": 0.283,
    "thin value": 0.07,
    "unchecked": 0.03,
}
ABOVE = {
    "crowded": 5.76,
    "few": 6.85,
    "floor": 0.000385,
    "gain": 0.258,
    "gap": 0.743,
    "thin value": 0.731,
    "unchecked": 0.1,
}
FACTORS = {
    "columns < 5": 0.967,
    "columns >= 5": 1.02,
    "nats < 0.3": 0.936,
    "nats >= 0.3": 1.02,
    "rows < 1,000": 1.03,
    "rows < 30,000": 0.927,
    "rows >= 30,000": 0.997,
}
