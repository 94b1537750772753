"""A model in parts, one in each process of a launch: each layer is put together for as long as it computes (FSDP2).

Knows models and processes. The adapter that is trained comes later and lies whole in each process: it is small, and the
weights that are in parts are never trained.
"""

from __future__ import annotations

from typing import Any

from gradual.errors import ModelError


def shard_layers(model: Any, device: str) -> None:
    """Leaves each process of the launch its part of every decoder layer, in place; all else lies whole on the device.

    From then on all processes must pass through the model together. The layers come to the device one by one, so
    besides its part no process needs more of the device than one layer.

    Raises:
        ModelError: the model doesn't say what its layers are.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    kinds = set(getattr(model, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in kinds]
    if not layers:
        raise ModelError(
            f"model.fsdp: expected a model that names its layers (_no_split_modules), {type(model).__name__} does not "
            "- use model.fsdp: null"
        )
    mesh = init_device_mesh(device.partition(":")[0], (dist.get_world_size(),))
    for layer in layers:
        layer.to(device).requires_grad_(False)  # as they are now, whole layers will be: nothing is to sum up gradients
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        layer.unshard()  # once, here: made in a probe, whole layers would be inference tensors, unfit for training
        layer.reshard()
    # Not model.to: it would ask each part to move, which parts of a layer can't.
    parts = {id(weight) for layer in layers for weight in (*layer.parameters(), *layer.buffers())}
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if id(tensor) not in parts:
                _move(module, name, tensor, device)
    model.tie_weights()  # embeddings that the output shares were moved one by one


def _move(module: Any, name: str, tensor: Any, device: str) -> None:
    if name in module._parameters:
        tensor.data = tensor.data.to(device)
    else:
        module._buffers[name] = tensor.to(device)
