import torch

from mine_lightning.monitor.changes import change_point, jump, parts, trend


def noise(rows, seed=0):
    return torch.randn(rows, generator=torch.Generator().manual_seed(seed))


def test_parts_are_means_of_the_latest_rows():
    assert torch.equal(parts(torch.arange(17.0)), torch.tensor([4.5, 12.5]))
    assert len(parts(noise(10_000))) == 64


def test_a_jump_is_found_where_it_is():
    series = noise(64)
    series[40:] += 4
    assert change_point(series) == 40
    rows = noise(4096)
    rows[3000:] += 1
    assert abs(jump(rows) - 3000) <= 64
    assert jump(rows) % 2 == 0


def test_one_constant_series_of_many_shows_a_jump():
    found = [change_point(noise(64, seed)) > 0 for seed in range(500)]
    assert sum(found) <= 1


def test_too_few_values_have_no_jump():
    assert change_point(torch.tensor([0.0, 9.0, 9.0])) == 0
    assert jump(torch.ones(3)) == 0


def test_the_end_of_a_straight_line_is_found_and_that_of_noise_is_not():
    line = torch.linspace(0, 1, 64)
    assert abs(trend(line) - 0.5) < 0.02
    assert abs(trend(-line) + 0.5) < 0.02
    assert sum(trend(noise(64, seed)) != 0 for seed in range(100)) <= 10
    assert trend(line[:3]) == 0


def test_differences_of_rounding_are_no_jump():
    series = torch.full((64,), 16.0)
    series[40:] += 1e-5
    assert change_point(series) == 0
