"""SAMs of the released classes, small enough for tests: window and global blocks, any head width."""

from functools import partial

import torch

from apsam import torchvision_ops  # noqa: F401  (before segment_anything)
from apsam.sam.registry import LoadedSam, wrap_sam

from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # isort: skip


def tiny_encoder(image_size=128, head=64, heads=2, depth=2, width=32, window=5, seed=0) -> ImageEncoderViT:
    """The last block attends globally, the others in windows that do not divide the grid."""
    torch.manual_seed(seed)
    encoder = ImageEncoderViT(
        img_size=image_size,
        embed_dim=head * heads,
        depth=depth,
        num_heads=heads,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=(depth - 1,),
        out_chans=width,
    )
    # As built these are zero; trained ones are not.
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def tiny_sam_model(image_size=128, width=32, seed=0, **encoder) -> Sam:
    encoder = tiny_encoder(image_size, width=width, seed=seed, **encoder)
    grid = (image_size // 16, image_size // 16)
    sam = Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=width,
            image_embedding_size=grid,
            input_image_size=(image_size, image_size),
            mask_in_chans=4,
        ),
        mask_decoder=MaskDecoder(
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=2 * width, num_heads=4),
            transformer_dim=width,
            iou_head_hidden_dim=width,
        ),
    )
    enliven(sam)
    return sam.eval()


def enliven(sam: Sam) -> None:
    """Scale random decoders, which predict logits of some thousandths, to the size of trained ones."""
    with torch.no_grad():
        for perceptron in sam.mask_decoder.output_hypernetworks_mlps:
            perceptron.layers[-1].weight *= 300
            perceptron.layers[-1].bias *= 300


def tiny_sam(**options) -> LoadedSam:
    """As our code runs it; `tiny_sam_model` with the same options is the released one with the same weights."""
    return wrap_sam(tiny_sam_model(**options), "tiny")
