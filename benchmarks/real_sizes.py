"""SAMs of their published sizes with random weights, because speed and memory do not depend on the weights."""

from __future__ import annotations

from typing import Any

import torch

from apsam.sam.model import LoadedSam
from apsam.sam.registry import NAMES, build_untrained, wrap_sam

# The configurations published by facebookresearch/sam2 (sam2/configs/sam2.1), except the library's default, tiny.
HIERA: dict[str, dict[str, Any]] = {
    "sam2.1_tiny": {},
    "sam2.1_small": dict(blocks_per_stage=[1, 2, 11, 2], global_attention_blocks=[7, 10, 13]),
    "sam2.1_base_plus": dict(
        hidden_size=112, num_attention_heads=2, blocks_per_stage=[2, 3, 16, 3], global_attention_blocks=[12, 16, 20],
        embed_dim_per_stage=[112, 224, 448, 896], num_attention_heads_per_stage=[2, 4, 8, 16],
        window_positional_embedding_background_size=[14, 14],
    ),
    "sam2.1_large": dict(
        hidden_size=144, num_attention_heads=2, blocks_per_stage=[2, 6, 36, 4], global_attention_blocks=[23, 33, 43],
        embed_dim_per_stage=[144, 288, 576, 1152], num_attention_heads_per_stage=[2, 4, 8, 16],
        window_size_per_stage=[8, 4, 16, 8],
    ),
}  # fmt: skip
# Of SAM-HQ, and of SAM itself (`benchmarks.bench_encode`).
VIT: dict[str, dict[str, Any]] = {
    "vit_b": {},
    "vit_l": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, global_attn_indexes=[5, 11, 17, 23]),
    "vit_h": dict(hidden_size=1280, num_hidden_layers=32, num_attention_heads=16, global_attn_indexes=[7, 15, 23, 31]),
}
SIZED = (*NAMES, *HIERA, "sam3", *(f"sam_hq_{name}" for name in VIT))


def build_sized(name: str, device: torch.device) -> LoadedSam:
    """Build the SAM of a short name in its published size, with random weights."""
    if name in NAMES:
        return wrap_sam(build_untrained(name).to(device), name)
    import transformers

    from apsam.sam.hub import wrap_hub_sam

    if name in HIERA:
        sizes = HIERA[name]
        vision = {"backbone_config": {"model_type": "sam2_hiera_det_model", **sizes}}
        if sizes.get("embed_dim_per_stage"):
            vision["backbone_channel_list"] = sizes["embed_dim_per_stage"][::-1]
        config = transformers.Sam2Config(vision_config=transformers.Sam2VisionConfig(**vision))
        model, processor = transformers.Sam2Model(config), transformers.Sam2ImageProcessor()
    elif name == "sam3":
        model = transformers.Sam3TrackerModel(transformers.Sam3TrackerConfig())
        processor = transformers.Sam3ImageProcessor(size={"height": 1008, "width": 1008})
    else:
        vision = dict(VIT[name.removeprefix("sam_hq_")])
        width = vision.get("hidden_size", 768)
        vision["mlp_dim"] = 4 * width
        config = transformers.SamHQConfig(vision_config=vision, mask_decoder_config={"vit_dim": width})
        model, processor = transformers.SamHQModel(config), transformers.SamImageProcessor()
    return wrap_hub_sam(model.to(device), processor, name)
