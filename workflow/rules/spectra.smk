# Spectra: the empirical spectral densities of trained weights, from the saved model.


rule spectra:
    input:
        metrics=f"{RUN}/metrics.json",
        initial=f"{RUN}/initial_eigenvalues.npz",
        weights=f"{RUN}/model.safetensors",
    output:
        layers=f"{RUN}/layers.csv",
        eigenvalues=f"{RUN}/eigenvalues.npz",
    log:
        f"{LOGS}/spectra/{{experiment}}/{{model}}/{{dataset}}/{{ratio}}/{{method}}/{{run}}.log",
    wildcard_constraints:
        run=r"seed=[0-9]+",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("spectra"),
    params:
        folder=lambda wildcards: f"{RESULTS}/{run_path(wildcards)}",
        results=results_folder,
        device=CONFIG.device,
        jobs_per_gpu=CONFIG.jobs_per_gpu,
    message:
        "Spectra of {wildcards.model} on {wildcards.dataset}, ratio {wildcards.ratio}, {wildcards.method}, {wildcards.run}"
    shell:
        "replication spectra {params.folder:q} --results {params.results:q} --device {params.device} "
        "--jobs-per-gpu {params.jobs_per_gpu} 2> {log:q}"
