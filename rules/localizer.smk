# What some methods need before their training (superpixels, cut-outs, SAM's segments, another classifier).
rule localizer_offline:
    input:
        tiles=at("tiles/{scene}.zarr.zip", scene=run.names),
        backbone=of_variant(run.backbone_weights),
    output:
        made="<results>/{variant}localizer_offline/{offline}",
    log:
        "<logs>/{variant}localizer_offline/{offline}.log",
    benchmark:
        "<benchmarks>/{variant}localizer_offline/{offline}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=more(4000),
        runtime=more(240),
        gpu=1,
    params:
        settings=settings("localizer"),
        sam=of_variant(run.teacher),
        sam_weights=of_variant(run.teacher_weights),
        seed=of_variant(run.seed),
        code=command_hash("localizer_offline"),
        method_code=of_variant(run.offline_code),
        device=DEVICE,
    message:
        "Make {wildcards.offline} for the localizer's training"
    shell:
        "python scripts/localizer_offline.py {input.tiles} --settings {params.settings:q} --sam {params.sam:q}"
        " --seed {params.seed} --device {params.device} --threads {threads} --output {output.made} > {log} 2>&1"


rule localizer:
    input:
        tiles=at("tiles/{scene}.zarr.zip", scene=run.names),
        backbone=of_variant(run.backbone_weights),
        offline=of_variant(run.offline_files),
    output:
        weights="<results>/{variant}localizer/weights.safetensors",
        history="<results>/{variant}localizer/history.json",
    log:
        "<logs>/{variant}localizer.log",
    benchmark:
        "<benchmarks>/{variant}localizer.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=more(4000),
        runtime=more(240),
        gpu=1,
    params:
        settings=settings("localizer"),
        seed=of_variant(run.seed),
        offline=of_variant(run.offline_argument),
        code=command_hash("localizer"),
        method_code=of_variant(run.method_code),
        device=DEVICE,
    message:
        "Train the localizer on image-level labels"
    shell:
        "python scripts/localizer.py {input.tiles} {params.offline} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --threads {threads}"
        " --output {output.weights} --history {output.history} > {log} 2>&1"
