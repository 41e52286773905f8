"""Nothing is imported because a file names it."""

import sys

import pytest

from mine_lightning.support.trust import check_class_paths

UNLOADED = "this.Zen"  # of a module that prints where it is imported


@pytest.mark.parametrize(
    "plain",
    [UNLOADED, {"critic": UNLOADED}, {"layers": [{"anything": (UNLOADED,)}]}],
    ids=["text", "value", "deep"],
)
def test_a_class_that_would_be_imported_is_refused_wherever_it_stands(plain: object) -> None:
    with pytest.raises(ValueError, match=r"are imported, got `this\.Zen`: .*`allow=\['this'\]`"):
        check_class_paths(plain)
    assert "this" not in sys.modules


@pytest.mark.parametrize("allow", [["this"], ["this.Zen"]])
def test_what_is_allowed_passes(allow: list[str]) -> None:
    check_class_paths({"critic": UNLOADED}, allow)


def test_a_longer_name_is_another_module() -> None:
    with pytest.raises(ValueError, match=r"got `this\.Zen`"):
        check_class_paths(UNLOADED, ["thi", "this.Ze"])


@pytest.mark.parametrize(
    "plain", ["torch.nn.Linear", "mine_lightning.MINE", "a sentence. Two.", "table.csv", 3, None]
)
def test_loaded_classes_and_what_is_no_class_pass(plain: object) -> None:
    check_class_paths({"value": plain})


def test_a_loaded_module_without_the_class_is_imported_no_further() -> None:
    with pytest.raises(ValueError, match=r"got `torch\.no_such_part\.Net`"):
        check_class_paths("torch.no_such_part.Net")
