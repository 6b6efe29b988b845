"""Heat maps from image-level labels: segmentation networks trained on the label map of scenes, without CAMs."""
