# The costly part, which depends on tiles and SAM alone: no threshold asks for it again.
rule encode:
    input:
        tiles=at("tiles/{unit}.zarr.zip"),
        checkpoint=of_variant(run.checkpoint),
        image=lambda wildcards: run.window_image(wildcards.unit, wildcards.variant),
    output:
        embeddings=unless_kept("<results>/{variant}embeddings/{unit}.zarr.zip"),
    log:
        "<logs>/{variant}encode/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}encode/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(240),
        gpu=1,
    params:
        settings=settings("sam"),
        weights=of_variant(run.sam_weights),
        gate=of_variant(run.label_gate),
        image=lambda wildcards: run.window_argument(wildcards.unit, wildcards.variant),
        code=command_hash("encode"),
        device=DEVICE,
    message:
        "Encode the positive tiles of {wildcards.unit} with SAM (2 MB each with an official SAM, less with the light one)"
    shell:
        "python scripts/encode.py --tiles {input.tiles} --settings {params.settings:q} {params.gate} {params.image}"
        " --device {params.device} --threads {threads} --output {output.embeddings} > {log} 2>&1"
