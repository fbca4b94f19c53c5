# SPDX-License-Identifier: Apache-2.0
"""The cost curve as an SVG file: points, the line fitted to them, logarithmic axes. No library: it is one drawing."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 36, 48, 56
STYLE = """<style>
 text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-size: 15px; font-weight: 600 }
 .grid { stroke: #ddd } .fit { stroke: #2a7f62; fill: none; stroke-width: 2 } .point { fill: #c8452f }
 @media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } .fit { stroke: #6fd0ac } .point { fill: #ff8a73 } }
</style>"""


def fit(points):
    """Seconds = start + photos x each, with the least relative errors; (start, each, largest relative error)."""
    # Weighted least squares by hand: two unknowns.
    rows = [(1 / s, n / s) for n, s in points]
    a, b, c = (sum(u * u for u, _ in rows), sum(u * v for u, v in rows), sum(v * v for _, v in rows))
    p, q = sum(u for u, _ in rows), sum(v for _, v in rows)
    det = a * c - b * b
    start, each = (p * c - q * b) / det, (q * a - p * b) / det
    return start, each, max(abs(start + each * n - s) / s for n, s in points)


def decades(low, high):
    return [10.0 ** k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def draw(points, title, note):
    start, each, _ = fit(points)
    xs = decades(min(n for n, _ in points), max(n for n, _ in points))
    ys = decades(min(s for _, s in points), max(s for _, s in points))

    def x(n):
        return LEFT + (math.log10(n / xs[0]) / math.log10(xs[-1] / xs[0])) * (WIDTH - LEFT - RIGHT)

    def y(s):
        return HEIGHT - BOTTOM - (math.log10(s / ys[0]) / math.log10(ys[-1] / ys[0])) * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">', f"<title>{title}</title>",
           STYLE, f'<text class="title" x="{LEFT}" y="24">{title}</text>']
    for n in xs:
        out.append(f'<path class="grid" d="M{x(n):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        out.append(f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{number(n)}</text>')
    for s in ys:
        out.append(f'<path class="grid" d="M{LEFT} {y(s):.1f}H{WIDTH - RIGHT}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(s) + 4:.1f}" text-anchor="end">{number(s)} s</text>')
    low, high = min(n for n, _ in points), max(n for n, _ in points)
    curve = [low * (high / low) ** (i / 60) for i in range(61)]
    out.append('<path class="fit" d="M' + "L".join(f"{x(n):.1f} {y(start + each * n):.1f}" for n in curve) + '"/>')
    for n, s in points:
        out.append(f'<circle class="point" cx="{x(n):.1f}" cy="{y(s):.1f}" r="5"><title>{n:,} photos: {s:.1f} s</title></circle>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">{note}</text></svg>')
    return "\n".join(out) + "\n"
