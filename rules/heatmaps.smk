# Heat maps from image-level labels, in the place of class activation maps (docs/ground.md).
rule heatmap_network:
    input:
        inputs_of("heatmaps/networks"),
    output:
        **outputs_of("heatmaps/networks"),
    log:
        log_of("heatmaps/networks"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: side_by_side(run.config.heatmaps.networks)
    resources:
        mem_mb=more(8000),
        runtime=more(360),
        gpu=1,
    params:
        command=command_of("heatmaps/networks"),
    message:
        "Train network {wildcards.unit} of the heat maps on the labels of the ground"
    shell:
        "{params.command} > {log} 2>&1"


rule heatmap_scene:
    input:
        inputs_of("heatmaps"),
    output:
        **outputs_of("heatmaps"),
    log:
        log_of("heatmaps"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("heatmaps"),
    message:
        "Make the heat map of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule heatmap_threshold:
    input:
        inputs_of("heatmaps/threshold"),
    output:
        **outputs_of("heatmaps/threshold"),
    log:
        log_of("heatmaps/threshold"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        command=command_of("heatmaps/threshold"),
    message:
        "Find the threshold of the heat maps that agrees best with the labels"
    shell:
        "{params.command} > {log} 2>&1"


rule heatmap_factor:
    input:
        inputs_of("heatmaps/factor"),
    output:
        **outputs_of("heatmaps/factor"),
    log:
        log_of("heatmaps/factor"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        command=command_of("heatmaps/factor"),
    message:
        "Choose how much ground SAM is shown"
    shell:
        "{params.command} > {log} 2>&1"


rule heatmap_stack:
    input:
        inputs_of("views/heatmaps"),
    output:
        **outputs_of("views/heatmaps"),
    log:
        log_of("views/heatmaps"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("views/heatmaps"),
    message:
        "Cut the heat map of {wildcards.unit} into views"
    shell:
        "{params.command} > {log} 2>&1"
