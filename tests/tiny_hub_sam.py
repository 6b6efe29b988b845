"""SAMs of the transformers library, small enough for tests, with random weights and the library's own processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from apsam import torchvision_ops  # noqa: F401  (before transformers, which imports torchvision)
from apsam.sam.hub import FAMILIES, HubSam, wrap_hub_sam

SIDE = 128
WIDTH = 64
DECODER = dict(hidden_size=WIDTH, mlp_dim=64, num_attention_heads=4, iou_head_hidden_dim=WIDTH)


def tiny_sam2_config() -> Any:
    """Four stages, one global block, windows that do not divide the grid; embedding of 8 x 8."""
    from transformers import Sam2Config

    return Sam2Config(
        vision_config=_sam2_vision(),
        prompt_encoder_config=dict(hidden_size=WIDTH, image_size=SIDE, patch_size=16, mask_input_channels=8),
        mask_decoder_config=dict(DECODER),
    )


def _sam2_vision() -> Any:
    from transformers import Sam2VisionConfig

    backbone = dict(
        model_type="sam2_hiera_det_model",
        hidden_size=16,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 6, 3],
        global_attention_blocks=[3],
    )
    return Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=WIDTH,
    )


def tiny_sam3_config() -> Any:
    from transformers import Sam3TrackerConfig

    side = 112
    vision = dict(
        model_type="sam3_vision_model",
        backbone_config=dict(
            model_type="sam3_vit_model", hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, image_size=side, patch_size=14, window_size=4, global_attn_indexes=[1],
            pretrain_image_size=56,
        ),
        fpn_hidden_size=WIDTH,
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
    )  # fmt: skip
    return Sam3TrackerConfig(
        vision_config=vision,
        prompt_encoder_config=dict(hidden_size=WIDTH, image_size=side, patch_size=14, mask_input_channels=8),
        mask_decoder_config=dict(DECODER),
    )


def _vit(**more: Any) -> dict[str, Any]:
    return dict(
        hidden_size=32, output_channels=WIDTH, num_hidden_layers=3, num_attention_heads=2, image_size=SIDE,
        patch_size=16, window_size=3, global_attn_indexes=[1, 2], mlp_dim=64, num_pos_feats=WIDTH // 2, **more,
    )  # fmt: skip


def tiny_sam_hq_config() -> Any:
    from transformers import SamHQConfig

    return SamHQConfig(
        vision_config=_vit(),
        prompt_encoder_config=dict(hidden_size=WIDTH, image_size=SIDE, patch_size=16, mask_input_channels=8),
        mask_decoder_config=dict(DECODER, vit_dim=32),
    )


def tiny_sam1_config() -> Any:
    from transformers import SamConfig

    return SamConfig(
        vision_config=_vit(),
        prompt_encoder_config=dict(hidden_size=WIDTH, image_size=SIDE, patch_size=16, mask_input_channels=8),
        mask_decoder_config=dict(DECODER),
    )


def tiny_edgetam_config() -> Any:
    """The backbone has its real size, since timm names it; the image is small."""
    from transformers import EdgeTamConfig, EdgeTamVisionConfig

    backbone = dict(
        model_type="timm_wrapper", architecture="repvit_m1", num_classes=2,
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )  # fmt: skip
    return EdgeTamConfig(
        vision_config=EdgeTamVisionConfig(
            backbone_config=backbone, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]], fpn_hidden_size=WIDTH
        ),
        prompt_encoder_config=dict(hidden_size=WIDTH, image_size=SIDE, patch_size=16, mask_input_channels=8),
        mask_decoder_config=dict(DECODER),
    )


CONFIGS = {
    "sam2": tiny_sam2_config,
    "sam3": tiny_sam3_config,
    "sam_hq": tiny_sam_hq_config,
    "sam": tiny_sam1_config,
    "edgetam": tiny_edgetam_config,
}


def tiny_hub_model(family: str, seed: int = 0) -> Any:
    """The library's model with random weights whose masks are as large as a trained one's."""
    import transformers

    torch.manual_seed(seed)
    config = CONFIGS[family]()
    model = getattr(transformers, FAMILIES[config.model_type][0])(config).eval()
    enliven(model)
    return model


def enliven(model: Any) -> None:
    """Weights of a size as if trained: as built, encoders hardly see pixels and masks are some thousandths."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("rel_pos", "pos_embed", "no_memory_embedding")):
                parameter.normal_(std=0.1)
            elif parameter.ndim > 1 and ("mask_decoder" in name or "vision_encoder" in name) and "timm" not in name:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            if name.endswith("proj_out.weight") and ("hypernetworks" in name or "hq_mask_mlp" in name):
                parameter *= 10


def tiny_processor(family: str) -> Any:
    """The library's own, with the tiny model's size."""
    import transformers

    if family in ("sam2", "edgetam"):
        image = transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
        return transformers.Sam2Processor(image)
    if family == "sam3":
        image = transformers.Sam3ImageProcessor(size={"height": 112, "width": 112})
        return transformers.Sam3TrackerProcessor(image)
    image = transformers.SamImageProcessor(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}, mask_size={"longest_edge": 32}
    )
    return (transformers.SamHQProcessor if family == "sam_hq" else transformers.SamProcessor)(image)


def tiny_hub_sam(family: str, seed: int = 0) -> HubSam:
    """As our code runs it."""
    return wrap_hub_sam(tiny_hub_model(family, seed), tiny_processor(family).image_processor, family)


def save_hub_sam(folder: Path, family: str, seed: int = 0) -> Any:
    """Write a folder as the hub has them; returns the model."""
    model = tiny_hub_model(family, seed)
    model.save_pretrained(folder)
    tiny_processor(family).save_pretrained(folder)
    return model
