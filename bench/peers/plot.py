# SPDX-License-Identifier: Apache-2.0
"""Table and figures of what bench/peers/run.py measured.

    .venv-peers/bin/python bench/peers/plot.py RESULTS.json [--docs docs]

Writes docs/figures/peers.svg and peers-pca.svg, and puts them and the tables between the marks in docs/benchmarks-peers.md.
"""
import argparse
import json
import pathlib

import figures
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- made by bench/peers/plot.py: begin -->", "<!-- made by bench/peers/plot.py: end -->"
OURS, OTHERS, INK, FAINT = "#c2410c", "#94a3b8", "#1f2937", "#6b7280"
NETWORKS = {"mobilenetv2": "MobileNetV2", "resnet50": "ResNet50", "vgg16": "VGG16"}
WHAT = {"over_original": "Pomona over the original, cached", "over_handwritten": "Pomona over Python by hand (Pillow)",
        "over_daft": "Pomona over Daft", "over_ray": "Pomona over Ray Data",
        "resnet50_over_original": "ResNet50: Pomona over the original", "vgg16_over_original": "VGG16: Pomona over the original",
        "at_128_over_original": "Pomona at 128 pixels over the original at 224",
        "over_original_as_written": "Pomona over the original as written", "f32_over_original": "Pomona in f32 over the original",
        "spark_over_original": "Pomona in Spark over the original", "over_handwritten_cv2": "Pomona over Python by hand (OpenCV)",
        "int8_over_original": "Pomona, int8, over the original, cached",
        "int8_over_handwritten": "Pomona, int8, over Python by hand (Pillow)", "int8_over_daft": "Pomona, int8, over Daft",
        "int8_over_ray": "Pomona, int8, over Ray Data",
        "at_128_int8_over_original": "Pomona, int8, at 128 pixels over the original at 224",
        "resnet50_int8_over_original": "ResNet50: Pomona, int8, over the original",
        "at_128_over_handwritten": "both at 128: Pomona over Python by hand (Pillow)",
        "at_128_int8_over_handwritten": "both at 128: Pomona, int8, over Python by hand (Pillow)",
        "spark_int8_over_original": "Pomona in Spark, int8, over the original"}


def is_ours(figure):
    return figure.name.startswith("ours") or figure.name == "pca_ours"


def number(value):
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def met(value, goal):
    return f"{goal}: {'yes' if value >= goal else 'no'}" if goal else ""


def bars(axes, lines, title):
    """Horizontal bars, each with its figure at its end: [(label, value, text, ours)]."""
    top = max(value for _, value, _, _ in lines)
    for row, (label, value, text, ours) in enumerate(lines):
        axes.barh(row, value, height=0.66, color=OURS if ours else OTHERS)
        axes.text(value + 0.012 * top, row, text, va="center", ha="left", fontsize=10, color=INK,
                  fontweight="bold" if ours else "normal")
    axes.set_yticks(range(len(lines)), [label for label, *_ in lines], fontsize=10, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, top * 1.14)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=8)
    axes.tick_params(length=0)
    axes.xaxis.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)


def draw(panels, path, note):
    heights = [len(lines) for _, lines in panels]
    figure, all_axes = plt.subplots(len(panels), 1, figsize=(9, 0.36 * sum(heights) + 0.62 * len(panels) + 0.35),
                                    gridspec_kw={"height_ratios": heights}, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.08)
    for axes, (title, lines) in zip(all_axes[:, 0], panels):
        bars(axes, lines, title)
    figure.supxlabel(note, fontsize=8.5, color=FAINT, x=0.99, ha="right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    plt.close(figure)


def draw_rates(results, found, path):
    panels = []
    keys = []
    for figure in found.values():
        if figure.rate and (figure.network, figure.size) not in keys:
            keys.append((figure.network, figure.size))
    for network, size in keys:
        lines = [(f"{figure.title}" + ("" if figure.precision in figure.title else f", {figure.precision}"), figure.rate,
                  number(figure.rate), is_ours(figure))
                 for figure in found.values() if figure.rate and (figure.network, figure.size) == (network, size)]
        panels.append((f"{NETWORKS[network]}, {size} pixels: photos a second",
                       sorted(lines, key=lambda line: -line[1])))
    if panels:
        draw(panels, path, "photos on disk to 41 components in Parquet; starts subtracted; " + machine(results))
    return bool(panels)


def draw_pca(results, found, path):
    lines = []
    for figure in found.values():
        if figure.over_limit and figure.name.startswith("pca_"):
            lines.append((figure.title, figure.over_limit, f"> {figure.over_limit:.0f} s: stopped", False))
        elif figure.seconds:
            lines.append((figure.title, figure.seconds, f"{figure.seconds:.1f} s", is_ours(figure)))
    if lines:
        rows = {one["count"] for one in results["measurements"] if one["part"].startswith("pca_")}
        draw([(f"PCA alone, {max(rows):,} x 1,280, k = 100: seconds, from Parquet to the fitted model",
               sorted(lines, key=lambda line: line[1]))], path, machine(results))
    return bool(lines)


def machine(results):
    machine = results["machine"]
    return f"{machine['cores']} cores of {machine['processor']}"


def table(results, found):
    out = []
    here = results["machine"]
    when = sorted(one["at"] for one in results["measurements"])
    out.append(f"Machine: {machine(results)}, {here['memory_gib']} GiB, {here['system']}, Python {here['python']}; "
               f"{when[0][:10]}. Versions: "
               + ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items())) + ".\n")
    out.append("| | network | photos/s | lowest to highest | processor ms a photo | peak MiB | start s | measured with |")
    out.append("|---|---|--:|--:|--:|--:|--:|---|")
    for figure in found.values():
        if figure.name.startswith("pca_"):
            continue
        title = f"**{figure.title}**" if is_ours(figure) else figure.title
        network = f"{NETWORKS[figure.network]} {figure.size}, {figure.precision}"
        if figure.over_limit:
            out.append(f"| {title} | {network} | stopped after {figure.over_limit:.0f} s | | | {figure.peak_mib:,.0f} | | |")
            continue
        few, many = figure.counts
        out.append(f"| {title} | {network} | {number(figure.rate)} | {number(figure.lowest)} to {number(figure.highest)} | "
                   f"{figure.processor_ms:.2f} | {figure.peak_mib:,.0f} | {figure.start:.1f} | {many:,} less {few:,}, "
                   f"{figure.turns} turn{'s' if figure.turns > 1 else ''} |")
    out.append("\n| ratio | figure | to be at least |\n|---|--:|--:|")
    for name, value, goal in figures.ratios(results, found):
        out.append(f"| {WHAT[name]} | {value:.2f} | {met(value, goal)} |")
    pca = [figure for figure in found.values() if figure.name.startswith("pca_")]
    if pca:
        rows = max(one["count"] for one in results["measurements"] if one["part"].startswith("pca_"))
        out.append(f"\n| PCA alone, {rows:,} x 1,280, k = 100, from Parquet to the fitted model | seconds | peak MiB |")
        out.append("|---|--:|--:|")
        for figure in pca:
            seconds = f"> {figure.over_limit:.0f}, stopped" if figure.over_limit else f"{figure.seconds:.2f}"
            out.append(f"| {f'**{figure.title}**' if is_ours(figure) else figure.title} | {seconds} | {figure.peak_mib:,.0f} |")
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--docs", type=pathlib.Path, default=ROOT / "docs")
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    found = figures.figures(results)
    plt.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "pomona"})
    shown = []
    for what, draw_it, name in (("Photos a second", draw_rates, "peers.svg"), ("PCA alone", draw_pca, "peers-pca.svg")):
        if draw_it(results, found, options.docs / "figures" / name):
            shown.append(f"![{what}](figures/{name})\n")
    lines = "\n".join([*shown, table(results, found)])
    print(lines)
    page = options.docs / "benchmarks-peers.md"
    if page.exists():
        text = page.read_text()
        before, rest = text.split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{lines}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
