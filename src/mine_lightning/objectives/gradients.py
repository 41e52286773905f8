"""Gradients of mutual information beside those of a host model's own loss."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["add_clipped_gradients", "clip_to_host"]


def total_norm(gradients: Iterable[Tensor | None]) -> Tensor:
    """Return the norm of all gradients together, shape ``()``, in float32 or wider."""
    norms = [
        torch.linalg.vector_norm(g, dtype=torch.promote_types(g.dtype, torch.float32))
        for g in gradients
        if g is not None
    ]
    if not norms:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))


def clip_to_host(
    host_gradients: Sequence[Tensor | None], mi_gradients: Sequence[Tensor | None]
) -> tuple[list[Tensor | None], Tensor]:
    r"""Scale the gradients of mutual information to at most the norm of the host's own.

    .. math:: g_a = \min(\|g_u\|, \|g_m\|) \frac{g_m}{\|g_m\|}

    Norms are taken over all parameters together. Gradients of mutual information whose norm is not
    finite are left out: their factor is 0.

    References:
        Belghazi et al., "MINE", 2018, appendix on adaptive clipping.

    Args:
        host_gradients: Gradients :math:`g_u` of the host's loss, None where there is none.
        mi_gradients: Gradients :math:`g_m` of mutual information, one for each of them.

    Returns:
        The scaled gradients, and the factor by which they were scaled, shape ``()``, in [0, 1].

    Raises:
        ValueError: If the numbers of gradients differ.

    Example:
        >>> clip_to_host([torch.tensor([3.0, 4.0])], [torch.tensor([0.0, 10.0])])
        ([tensor([0., 5.])], tensor(0.5000))
    """
    if len(host_gradients) != len(mi_gradients):
        raise ValueError(
            f"Expected as many `mi_gradients` as `host_gradients`, {len(host_gradients)}, "
            f"got {len(mi_gradients)}."
        )
    host, mi = total_norm(host_gradients), total_norm(mi_gradients)
    host = host.to(mi.device)
    factor = torch.where(mi > host, host / mi, 1.0)
    factor = torch.where(torch.isfinite(mi), factor, 0.0)
    return [g if g is None else _scaled(g, factor) for g in mi_gradients], factor


def _scaled(gradient: Tensor, factor: Tensor) -> Tensor:
    factor = factor.to(gradient.device)
    return torch.where(factor > 0, gradient * factor, 0.0).to(gradient.dtype)


def add_clipped_gradients(
    parameters: Iterable[nn.Parameter], mi_gradients: Sequence[Tensor | None]
) -> Tensor:
    r"""Add gradients of mutual information to a host's, scaled as :func:`clip_to_host` does.

    Call it **after** the backward pass of the host's loss and before the optimizer step: before it
    there is no host gradient to compare with. Minimise mutual information with the gradients of
    an estimate, maximise it with those of its negative.

    Args:
        parameters: Parameters whose ``.grad`` holds the host's gradients; changed in place.
        mi_gradients: Gradients of mutual information with respect to them, as from
            ``torch.autograd.grad(mi, parameters, allow_unused=True)``. Under a gradient scaler both
            have to carry its scale, or neither.

    Returns:
        The factor by which they were scaled, shape ``()``: worth logging. 0 means that they were
        left out.

    Raises:
        ValueError: If the numbers of parameters and gradients differ.

    Example:
        >>> weight = nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> host, mi = weight.sum(), 10 * weight[0]
        >>> mi_gradients = torch.autograd.grad(mi, [weight])
        >>> host.backward()
        >>> factor = add_clipped_gradients([weight], mi_gradients)
        >>> weight.grad
        tensor([2.4142, 1.0000])
    """
    parameters = list(parameters)
    clipped, factor = clip_to_host([parameter.grad for parameter in parameters], mi_gradients)
    for parameter, gradient in zip(parameters, clipped, strict=True):
        if gradient is not None and parameter.grad is not None:
            parameter.grad.add_(gradient)
        elif gradient is not None:
            parameter.grad = torch.empty_like(parameter).copy_(gradient)  # in the order of memory
    return factor
