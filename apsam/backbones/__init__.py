"""Feature extractors: networks trained on ImageNet, whose features localizer, ResUNet and light SAM use."""
