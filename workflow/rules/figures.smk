# Figures and animations, drawn from the collected tables of the experiments that they show and from files of single
# runs, and the report.


rule figure:
    input:
        **figure_inputs(),
        published=PUBLISHED,
    output:
        csv=f"{FIGURES}/{{figure}}.csv",
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
        artifact=artifact,
        style=CONFIG.style,
        described=described,
    message:
        "Draw {wildcards.figure}"
    script:
        "../scripts/figure.py"


rule forest:
    input:
        gains=f"{RESULTS}/tables/gains.csv",
        measured=f"{RESULTS}/tables/measured.csv",
    output:
        pdf=f"{FIGURES}/forest.pdf",
        png=report(
            f"{FIGURES}/forest.png",
            caption="../report/forest.rst",
            category="Figures",
            labels={"figure": "forest"},
        ),
        agreement_pdf=f"{FIGURES}/agreement.pdf",
        agreement_png=report(
            f"{FIGURES}/agreement.png",
            caption="../report/agreement.rst",
            category="Figures",
            labels={"figure": "agreement"},
        ),
    log:
        f"{LOGS}/forest.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("forest"),
    params:
        style=CONFIG.style,
    message:
        "Draw every cell's gain, and published against measured scores"
    script:
        "../scripts/forest.py"


rule animation:
    input:
        runs=lambda wildcards: tables_of(wildcards.animation, "runs"),
        predictions=lambda wildcards: predictions_of([wildcards.animation]),
    output:
        report(
            f"{FIGURES}/{{animation}}.gif",
            caption="../report/artifact.rst",
            category="Figures",
            labels={"figure": "{animation}"},
        ),
    log:
        f"{LOGS}/animation/{{animation}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("animation"),
    params:
        artifact=artifact,
        style=CONFIG.style,
        described=described,
    message:
        "Animate {wildcards.animation}"
    script:
        "../scripts/animation.py"


rule report:
    input:
        runs=collected("runs"),
        layers=collected("layers"),
        history=collected("history"),
        spectra=collected("spectra"),
        eigenvalues=list(
            dict.fromkeys(
                path
                for name in GRID.experiments
                for path in shown_files(name, "eigenvalues.npz")
            )
        ),
        figures=[
            f"{FIGURES}/{name}.{kind}"
            for name in PLAN.figures
            for kind in ("png", "csv")
        ],
        forest=f"{FIGURES}/forest.png",
        agreement=f"{FIGURES}/agreement.png",
        gains=f"{RESULTS}/tables/gains.csv",
        measured=f"{RESULTS}/tables/measured.csv",
        estimates=f"{RESULTS}/tables/estimates.csv",
        animations=animation_files(),
        tables=[
            f"{RESULTS}/tables/{name}.{kind}"
            for name in PLAN.tables
            for kind in ("csv", "tex", "html")
        ],
        trivial=[
            f"{RESULTS}/trivial/{name}.csv"
            for name in dict.fromkeys(run.dataset for run in SPECS.values())
        ],
        verdicts=f"{RESULTS}/tables/verdicts.csv",
        template=f"{ROOT}/workflow/report/template.html.j2",
        parts=[
            f"{ROOT}/workflow/report/{name}"
            for name in ("report.css", "report.js", "explorer.js")
        ],
    output:
        html=f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("report"),
    params:
        artifacts=[one.plain() for one in GRID.index.artifacts.values()],
        scale=CONFIG.scale,
        missing=PLAN.missing,
        results=results_folder,
    message:
        "Write the report"
    script:
        "../scripts/report.py"
