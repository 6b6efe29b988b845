# What labels say of the ground of a scene, and pseudo-masks made for it once (docs/ground.md). Prompts, embeddings and
# masks of views are made by the commands that tiles have too.
rule label_errors:
    input:
        inputs_of("ground/label_errors"),
    output:
        **outputs_of("ground/label_errors"),
    log:
        log_of("ground/label_errors"),
    priority: NETWORK_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(60),
        gpu=1,
    params:
        command=command_of("ground/label_errors"),
    message:
        "Find tiles that are labelled negative by mistake"
    shell:
        "{params.command} > {log} 2>&1"


rule ground_labels:
    input:
        inputs_of("ground"),
    output:
        **outputs_of("ground"),
    log:
        log_of("ground"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        command=command_of("ground"),
    message:
        "Make the label map of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule ground_labels_tiles:
    input:
        inputs_of("ground/tiles"),
    output:
        **outputs_of("ground/tiles"),
    log:
        log_of("ground/tiles"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        command=command_of("ground/tiles"),
    message:
        "Make the label maps of the tiles of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule views:
    input:
        inputs_of("views"),
    output:
        **outputs_of("views"),
    log:
        log_of("views"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(3000),
        runtime=more(60),
    params:
        command=command_of("views"),
    message:
        "Cut {wildcards.unit} into views for SAM"
    shell:
        "{params.command} > {log} 2>&1"


rule views_prompts:
    input:
        inputs_of("views/prompts"),
    output:
        **outputs_of("views/prompts"),
    log:
        log_of("views/prompts"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("views/prompts"),
    message:
        "Make prompts from the heat maps of the views of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule views_encode:
    input:
        inputs_of("views/embeddings"),
    output:
        **outputs_of(
            "views/embeddings",
            output=lambda path: path if run.config.keep_embeddings else temp(path),
        ),
    log:
        log_of("views/embeddings"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(240),
        gpu=1,
    params:
        command=command_of("views/embeddings"),
    message:
        "Encode the views of {wildcards.unit} with SAM"
    shell:
        "{params.command} > {log} 2>&1"


rule views_masks:
    input:
        inputs_of("views/masks"),
    output:
        **outputs_of("views/masks"),
    log:
        log_of("views/masks"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("views/masks"),
    message:
        "Segment the views of {wildcards.unit} with SAM and their prompts"
    shell:
        "{params.command} > {log} 2>&1"


rule ground_masks:
    input:
        inputs_of("masks/ground"),
    output:
        **outputs_of("masks/ground"),
    log:
        log_of("masks/ground"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("masks/ground"),
    message:
        "Combine the masks of the views of {wildcards.unit} into one pseudo-mask"
    shell:
        "{params.command} > {log} 2>&1"
