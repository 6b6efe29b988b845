# A second round: the first ResUNets' maps of the training scenes become pseudo-masks (docs/ground.md).
rule self_training_network:
    input:
        inputs_of("self_training/networks"),
    output:
        **outputs_of("self_training/networks"),
    log:
        log_of("self_training/networks"),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=more(8000),
        runtime=more(360),
        gpu=1,
    params:
        command=command_of("self_training/networks"),
    message:
        "Train ResUNet {wildcards.unit} of the first round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_map:
    input:
        inputs_of("self_training/maps"),
    output:
        **outputs_of("self_training/maps"),
    log:
        log_of("self_training/maps"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("self_training/maps"),
    message:
        "Map {wildcards.unit} with the ResUNets of the first round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_masks:
    input:
        inputs_of("self_training/masks"),
    output:
        **outputs_of("self_training/masks"),
    log:
        log_of("self_training/masks"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("self_training/masks"),
    message:
        "Make the pseudo-mask of {wildcards.unit} for the second round"
    shell:
        "{params.command} > {log} 2>&1"
