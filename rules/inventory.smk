# What the given scenes are made of, beside the results: another scene, another inventory. Synthetic scenes need none.
rule inventory:
    input:
        run.given_files(),
    output:
        inventory="<results>/scenes/inventory.json",
    log:
        "<logs>/inventory.log",
    benchmark:
        "<benchmarks>/inventory.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(500),
        runtime=more(60),
    params:
        scenes=run.sheet_arguments(),
        sheet=run.sheet(),
        listing=signed(lambda wildcards: run.given_listing()),
        code=command_hash("inventory"),
    message:
        "Note size and checksum of the given scenes"
    shell:
        "python scripts/inventory.py {params.scenes} --output {output.inventory} > {log} 2>&1"
