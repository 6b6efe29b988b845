"""Image-level labels by a person: grids, the label page, label tables, and suggestions of tiles to label next."""
