"""torch's SGD without torch's compiler, whose import takes 2 s of CPU time and 150 MB.

torch keeps some methods of optimizers out of what is compiled, and imports the compiler for that at
their first call, although nothing is compiled here. The methods below are the same without that.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch

# What is left of a method without torch's wrappers; itself, if it has none.
_step: Callable[..., Any] = inspect.unwrap(torch.optim.SGD.step)


class SGD(torch.optim.SGD):
    """The same updates and the same state; not for code that is compiled."""

    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.SGD.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.SGD.state_dict)
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update, without gradients through it (`differentiable` is not supported)."""
        return _step(self, closure)
