"""What the Snakefile needs in addition to the library: the run's paths and parameters, and Snakemake's records.

Nothing here imports torch, rasterio or zarr: every Snakemake process reads it.
"""
