# Three ways to a pseudo-mask: SAM with prompts, the CAM alone, GrabCut with the same prompts.
rule masks_apsam:
    input:
        tiles=at("tiles/{unit}.zarr.zip"),
        cams=at("cams/{unit}.zarr.zip"),
        prompts=at("prompts/{unit}.json"),
        embeddings=at("embeddings/{unit}.zarr.zip"),
        checkpoint=of_variant(run.checkpoint),
    output:
        masks="<results>/{variant}masks/apsam/{unit}.zarr.zip",
    log:
        "<logs>/{variant}masks_apsam/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}masks_apsam/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        settings=settings("masks"),
        sam=settings("sam"),
        weights=of_variant(run.sam_weights),
        code=command_hash("masks", "masks_apsam"),
        device=DEVICE,
    message:
        "Ask SAM for the pseudo-masks of {wildcards.unit}"
    shell:
        "python scripts/masks.py masks-apsam --tiles {input.tiles} --cams {input.cams} --prompts {input.prompts}"
        " --embeddings {input.embeddings} --settings {params.settings:q} --sam {params.sam:q}"
        " --device {params.device} --threads {threads} --output {output.masks} > {log} 2>&1"


rule masks_cam:
    input:
        tiles=at("tiles/{unit}.zarr.zip"),
        cams=at("cams/{unit}.zarr.zip"),
    output:
        masks="<results>/{variant}masks/cam/{unit}.zarr.zip",
    log:
        "<logs>/{variant}masks_cam/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}masks_cam/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        settings=settings("cam_masks"),
        code=command_hash("masks", "masks_cam"),
    message:
        "Cut the class activation maps of {wildcards.unit} at a threshold"
    shell:
        "python scripts/masks.py masks-cam --tiles {input.tiles} --cams {input.cams}"
        " --settings {params.settings:q} --output {output.masks} > {log} 2>&1"


rule masks_grabcut:
    input:
        tiles=at("tiles/{unit}.zarr.zip"),
        prompts=at("prompts/{unit}.json"),
    output:
        masks="<results>/{variant}masks/grabcut/{unit}.zarr.zip",
    log:
        "<logs>/{variant}masks_grabcut/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}masks_grabcut/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(60),
    params:
        settings=settings("grabcut"),
        code=command_hash("masks", "masks_grabcut"),
    message:
        "Run GrabCut with the prompts of {wildcards.unit}"
    shell:
        "python scripts/masks.py masks-grabcut --tiles {input.tiles} --prompts {input.prompts}"
        " --settings {params.settings:q} --output {output.masks} > {log} 2>&1"
