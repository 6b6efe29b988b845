rule resunet:
    input:
        tiles=at("tiles/{scene}.zarr.zip", scene=run.training),
        masks=at("masks/{source}/{scene}.zarr.zip", scene=run.training),
        truth=of_variant(run.training_truth),
    output:
        weights="<results>/{variant}resunet/{source}/weights.safetensors",
        history="<results>/{variant}resunet/{source}/history.json",
    log:
        "<logs>/{variant}resunet/{source}.log",
    benchmark:
        "<benchmarks>/{variant}resunet/{source}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=more(8000),
        runtime=more(720),
        gpu=1,
    params:
        settings=settings("resunet"),
        seed=of_variant(run.seed),
        truth=of_variant(run.truth_arguments),
        code=command_hash("resunet"),
        device=DEVICE,
    message:
        "Train the ResUNet on the {wildcards.source} pseudo-masks"
    shell:
        "python scripts/resunet.py {input.tiles} {input.masks} --settings {params.settings:q}"
        " --seed {params.seed} {params.truth} --device {params.device} --threads {threads}"
        " --output {output.weights} --history {output.history} > {log} 2>&1"
