"""Image-level labels given by a person: grids, the label page, label tables, and which tile to look at next."""
