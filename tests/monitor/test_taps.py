import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from mine_lightning.monitor.taps import Recorder, check_eager, find_submodule, parse_tap


class Two(nn.Module):
    def forward(self, a: Tensor, b: Tensor, *, c: Tensor | None = None) -> Tensor:
        return a + b


@pytest.mark.parametrize(
    ("text", "port", "module", "items"),
    [
        ("generator:output", "output", "generator", ()),
        ("a.b.0:input[1]", "input", "a.b.0", (1,)),
        ("g:input[speaker]", "input", "g", ("speaker",)),
        ("m:output[-1]['z']", "output", "m", (-1, "z")),
        ("batch", "batch", "", ()),
        ("batch[0]", "batch", "", (0,)),
        ("outputs[z]", "outputs", "", ("z",)),
    ],
)
def test_taps_name_a_port_a_module_and_items(text, port, module, items):
    assert parse_tap("x", text) == (port, module, items, text, None)


@pytest.mark.parametrize(
    "text", ["", "generator", ":output", "g:forward", "g:output[", "batch.x", 3]
)
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match=r"Expected `x` to be 'submodule:output'.*got"):
        parse_tap("x", text)


def test_a_wrong_name_raises_with_the_nearest_submodules():
    host = nn.ModuleDict({"generator": nn.Linear(1, 1), "critic": nn.Linear(1, 1)})
    with pytest.raises(ValueError, match=r"'generater:input'.*ModuleDict.*nearest are: generator"):
        find_submodule(host, parse_tap("z", "generater:input"))


def take(tap, module, *args, calls="first", **kwargs):
    recorder = Recorder(parse_tap("x", tap), calls)
    handle = recorder.attach(module)
    recorder.start()
    module(*args, **kwargs)
    handle.remove()
    return recorder.stop()


A, B, C = torch.zeros(2, 1), torch.ones(2, 1), torch.full((2, 1), 2.0)


@pytest.mark.parametrize(
    ("tap", "expected"),
    [(":input[0]", A), (":input[1]", B), (":input[b]", B), (":input[a]", A), (":input[c]", C)],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_arguments_are_found_by_position_and_by_keyword_however_they_are_passed(
    tap, expected, by_name
):
    args, kwargs = ((), {"a": A, "b": B, "c": C}) if by_name else ((A, B), {"c": C})
    assert torch.equal(take("m" + tap, Two(), *args, **kwargs), expected)


def test_an_ambiguous_argument_has_to_be_named():
    with pytest.raises(
        ValueError, match=r"'m:input' to say which argument.*'m:input\[0\]'.*\[0, 1\]"
    ):
        take("m:input", Two(), A, B)
    with pytest.raises(ValueError, match=r"find the argument \[d\], got a call with \[0, 1"):
        take("m:input[d]", Two(), A, B)


def test_items_lead_through_tuples_mappings_and_attributes():
    nested = (0, {"z": SimpleNamespace(mean=B)})
    assert torch.equal(parse_tap("x", "batch[1][z][mean]").pick(nested), B)
    with pytest.raises(ValueError, match=r"find the item \[y\], got a dict with the keys \['z'\]"):
        parse_tap("x", "batch[1][y]").pick(nested)
    with pytest.raises(ValueError, match=r"'batch' to lead to a tensor, got a tuple of 2 items"):
        parse_tap("x", "batch").pick(nested)


def test_copies_are_detached_and_taken_before_changes_in_place():
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 2))
    given = -torch.ones(3, 2)
    assert torch.equal(take("m:input", module, given), -torch.ones(3, 2))
    out = take("m:output", module, given)
    assert not out.requires_grad


def test_first_last_and_all_calls():
    def taken(calls):
        module, recorder = nn.Identity(), Recorder(parse_tap("x", "m:output"), calls)
        handle = recorder.attach(module)
        module(C)
        recorder.start()
        module(A)
        module(B)
        value = recorder.stop()
        module(C)
        handle.remove()
        return value

    assert torch.equal(taken("first"), A)
    assert torch.equal(taken("last"), B)
    assert torch.equal(taken("all"), torch.cat((A, B)))


def test_a_copy_or_pickle_of_the_host_carries_a_hook_that_never_listens():
    module, recorder = nn.Linear(1, 1), Recorder(parse_tap("x", "m:output"), "all")
    recorder.attach(module)
    recorder.start()
    copy.deepcopy(module)(A)
    pickle.loads(pickle.dumps(module))(A)
    assert recorder.stop() is None


def test_compiled_modules():
    host = nn.ModuleDict({"generator": nn.Sequential(nn.Linear(2, 2))})
    host["generator"] = torch.compile(host["generator"], backend="eager")
    check_eager(host, parse_tap("x", "generator:output"))
    recorder = Recorder(parse_tap("x", "generator:output"), "all")
    host["generator"](torch.ones(2, 2))
    recorder.attach(host["generator"])
    for _ in range(2):
        recorder.start()
        out = host["generator"](torch.ones(2, 2))
        assert torch.equal(recorder.stop(), out)
    inner = next(name for name, _ in host.named_modules() if name.endswith(".0"))
    with pytest.raises(ValueError, match="outside a compiled graph"):
        check_eager(host, parse_tap("x", f"{inner}:output"))
    host = nn.ModuleDict({"generator": nn.Linear(2, 2)})
    host["generator"].compile(backend="eager")
    with pytest.raises(ValueError, match="outside a compiled graph"):
        check_eager(host, parse_tap("x", "generator:output"))


def test_a_tap_may_say_which_call_counts():
    assert parse_tap("x", "head:output[0]@1")[2:] == ((0,), "head:output[0]@1", 1)
    assert parse_tap("x", "head:input@last").call == "last"
    with pytest.raises(ValueError, match="Expected `x` to be 'submodule:output'"):
        parse_tap("x", "batch@1")


@pytest.mark.parametrize("tap", ["batch[0]", "batch[mean]"])
def test_a_tap_ends_at_a_tensor(tap):
    with pytest.raises(ValueError, match=r"to end at a tensor, got the item \[\w+\] of a tensor"):
        parse_tap("x", tap).pick(B)
    with pytest.raises(
        ValueError, match=r"'outputs\[h\]\[2\]' to end at a tensor, got the item \[2\]"
    ):
        parse_tap("x", "outputs[h][2]").pick({"h": B})
    assert torch.equal(parse_tap("x", "outputs[h][2]").pick({"h": [A, A, B]}), B)
