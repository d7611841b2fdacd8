# Figures: each of the paper's, drawn from the collected tables of the experiments it shows.


rule figure:
    input:
        **figure_inputs(),
        published=PUBLISHED,
        index=INDEX,
    output:
        pdf=f"{FIGURES}/{{figure}}.pdf",
        png=report(
            f"{FIGURES}/{{figure}}.png",
            caption="../report/artifact.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{LOGS}/figure/{{figure}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("figure"),
    params:
        style=CONFIG.style,
        described=described,
    message:
        "Draw {wildcards.figure}"
    script:
        "../scripts/figure.py"
