# What people take away from a map: polygons with prompts and tiles, styles, a QGIS project, a STAC item. Of the run's own
# maps only: variants are measured, not handed on.
rule products:
    input:
        inputs_of("maps/{source}/products"),
    output:
        **outputs_of(
            "maps/{source}/products",
            STAGES["maps/apsam/products"].outputs,
            geopackage=shown(
                "products",
                "Maps",
                **{"scene": "{unit}", "trained on masks of": "{source}"},
            ),
        ),
    log:
        log_of("maps/{source}/products"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(60),
    params:
        command=command_of("maps/{source}/products"),
    message:
        "Make polygons and a QGIS project of {wildcards.unit}, {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"
