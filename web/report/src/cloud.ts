// SPDX-License-Identifier: Apache-2.0
// A cloud of points in two or three dimensions on a canvas. WebGL draws it where there is WebGL; else the same
// projection runs here and fills the pixels of a 2-D canvas. One projection (project) serves both, the mouse
// and the overlay with axes and photos.

import { Rgb, css, isDark, onSchemeChange, variable } from "./colors";

export interface CloudPoints {
  n: number;
  components: number;
  value(i: number, component: number): number;   // in units of the data
  range(component: number): [number, number];
  axisName(component: number): string;
}

const VERTEX = `
attribute vec3 place; attribute vec4 tint; attribute float rank;
uniform mat3 turn; uniform vec2 scale, shift; uniform float depth, size;
varying vec4 shade;
void main() {
  vec3 p = turn * place;
  float w = 1.0 - depth * p.z;
  gl_Position = vec4(p.xy * scale + shift * w, -p.z * 0.25 * w, w);
  if (tint.a < 0.5) gl_Position.z += 0.5 * w;   // faded ones behind
  gl_PointSize = size * rank / w;
  shade = tint;
}`;
const FRAGMENT = `
precision mediump float;
varying vec4 shade; uniform vec3 rim;
void main() {
  vec2 q = gl_PointCoord - 0.5;
  float r = dot(q, q) * 4.0;
  if (r > 1.0) discard;
  float edge = smoothstep(0.62, 0.95, r) * step(0.5, shade.a) * 0.55;
  float a = shade.a * (1.0 - smoothstep(0.9, 1.0, r));
  gl_FragColor = vec4(mix(shade.rgb, rim, edge) * a, a);
}`;
const FADED = 0.16;
const FIRST_VIEW: [number, number] = [0.65, 0.42];   // yaw, pitch in radians

export class Cloud {
  readonly canvas = document.createElement("canvas");
  readonly overlay = document.createElement("canvas");
  readonly webgl: boolean;
  onHover: (point: number, x: number, y: number) => void = () => {};
  photo: ((i: number) => HTMLImageElement | null) | null = null;  // photos mode: the picture of a point
  hasPhoto: (i: number) => boolean = () => false;

  private gl: WebGLRenderingContext | null = null;
  private program: WebGLProgram | null = null;
  private buffers: WebGLBuffer[] = [];
  private place: Float32Array;       // n x 3, about [-1, 1]
  private tint: Uint8Array;          // n x 4
  private rank: Float32Array;        // n: size factor
  private sx: Float32Array;          // n: on the screen, css px
  private sy: Float32Array;
  private sz: Float32Array;          // n: towards the reader
  private axes: [number, number, number] = [0, 1, 2];
  private flat = false;
  private yaw = FIRST_VIEW[0];
  private pitch = FIRST_VIEW[1];
  private fit = 1;
  private touched = false;
  private zoom = 1;
  private panX = 0;
  private panY = 0;
  private width = 1;
  private height = 1;
  private unit = 1;
  private middle = [0, 0, 0];
  private asked = false;
  private colors: Rgb[] = [];
  private groupOf: (i: number) => number = () => -1;
  private lit: (group: number) => boolean = () => true;
  private current = -1;

  constructor(private points: CloudPoints) {
    const n = points.n;
    this.place = new Float32Array(n * 3);
    this.tint = new Uint8Array(n * 4);
    this.rank = new Float32Array(n).fill(1);
    this.sx = new Float32Array(n);
    this.sy = new Float32Array(n);
    this.sz = new Float32Array(n);
    this.gl = this.canvas.getContext("webgl", { antialias: true, premultipliedAlpha: true });
    this.webgl = this.gl !== null && this.prepareGl();
    this.overlay.className = "overlay";
    this.overlay.tabIndex = 0;
    this.overlay.setAttribute("role", "img");
    this.listen();
    onSchemeChange(() => this.redraw());
  }

  setAxes(axes: [number, number, number], flat: boolean) {
    this.axes = axes;
    const other = this.flat !== flat;
    this.flat = flat;
    const { n } = this.points;
    const used = flat ? axes.slice(0, 2) : axes;
    const ranges = axes.map((c) => this.points.range(c));
    // In 3-D one unit for all axes keeps distances honest; in 2-D each axis fills its side.
    const widest = Math.max(...used.map((c) => this.points.range(c)[1] - this.points.range(c)[0]), 1e-12);
    this.unit = 2 / widest;
    this.middle = ranges.map(([low, high]) => (low + high) / 2);
    const units = ranges.map(([low, high]) => flat ? 2 / Math.max(high - low, 1e-12) : this.unit);
    for (let i = 0; i < n; i++) {
      for (let a = 0; a < 3; a++) {
        this.place[i * 3 + a] = flat && a === 2 ? 0
          : (this.points.value(i, axes[a]) - this.middle[a]) * units[a];
      }
    }
    this.upload(0, this.place);
    if (other) this.reset();
    this.fitBox();
    this.redraw();
  }

  setColors(colors: Rgb[], groupOf: (i: number) => number, lit: (group: number) => boolean) {
    this.colors = colors;
    this.groupOf = groupOf;
    this.lit = lit;
    const grey: Rgb = isDark() ? [130, 134, 140] : [150, 152, 156];
    for (let i = 0; i < this.points.n; i++) {
      const group = groupOf(i);
      const on = lit(group);
      const color = on && group >= 0 ? colors[group] : grey;
      this.tint[i * 4] = color[0];
      this.tint[i * 4 + 1] = color[1];
      this.tint[i * 4 + 2] = color[2];
      this.tint[i * 4 + 3] = on ? 255 : Math.round(255 * FADED);
    }
    this.upload(1, this.tint);
    this.redraw();
  }

  reset() {
    [this.yaw, this.pitch] = FIRST_VIEW;
    this.zoom = 1;
    this.touched = false;
    this.fitBox();
    this.redraw();
  }

  resize(width: number, height: number) {
    this.width = width;
    this.height = height;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    this.fitBox();
    this.draw();
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.draw(); });
  }

  // --- projection ---
  // The scale and shift at which the points and the named axes fill the canvas, as seen from the first viewpoint.
  private fitBox() {
    if (this.flat) { if (!this.touched) this.panX = this.panY = 0; return; }
    const now = [this.yaw, this.pitch];
    [this.yaw, this.pitch] = FIRST_VIEW;
    const m = this.turn(), half = this.halves(), p = this.place;
    let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
    const meet = (x: number, y: number, z: number) => {
      const w = 1 - this.depth() * (m[6] * x + m[7] * y + m[8] * z);
      const px = (m[0] * x + m[1] * y) / w, py = (m[3] * x + m[4] * y + m[5] * z) / w;
      left = Math.min(left, px);
      right = Math.max(right, px);
      low = Math.min(low, py);
      high = Math.max(high, py);
    };
    for (let i = 0; i < p.length; i += 3) meet(p[i], p[i + 1], p[i + 2]);
    for (let i = 0; i < 5; i++) {   // the corners of the floor, and the top of the axis that stands up
      meet(i & 1 ? half[0] : -half[0], i & 2 ? half[1] : -half[1], i & 4 ? half[2] : -half[2]);
    }
    [this.yaw, this.pitch] = now;
    this.fit = 2 * Math.min((this.width - 60) / Math.max(right - left, 1e-9), (this.height - 56) / Math.max(high - low, 1e-9));
    if (this.touched) return;
    this.panX = -(left + right) / 2 * this.fit / this.width;
    this.panY = -(low + high) / 2 * this.fit / this.height;
  }

  private halves(): number[] {
    return this.axes.map((c) => {
      const [low, high] = this.points.range(c);
      return (high - low) / 2 * this.unit * 1.04;
    });
  }

  private turn(): number[] {
    if (this.flat) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
    const cy = Math.cos(this.yaw), sy = Math.sin(this.yaw), cp = Math.cos(this.pitch), sp = Math.sin(this.pitch);
    // Rows: right, up, towards the reader. The third component stands up.
    return [cy, sy, 0, -sy * sp, cy * sp, cp, sy * cp, -cy * cp, sp];
  }

  private depth() { return this.flat ? 0 : 0.18; }

  private scale(): [number, number] {
    if (this.flat) {
      return [this.zoom * (1 - 110 / Math.max(this.width, 240)), this.zoom * (1 - 90 / Math.max(this.height, 200))];
    }
    const side = this.fit * this.zoom;
    return [side / this.width, side / this.height];
  }

  private pointSize() {
    const base = this.points.n > 60000 ? 3 : this.points.n > 12000 ? 4.5 : this.points.n > 3000 ? 6 : 8;
    return base * Math.min(2.2, Math.sqrt(this.zoom)) * Math.min(1, Math.max(0.7, this.width / 700));
  }

  private at(x: number, y: number, z: number): [number, number, number] {
    const m = this.turn(), s = this.scale();
    const px = m[0] * x + m[1] * y + m[2] * z, py = m[3] * x + m[4] * y + m[5] * z;
    const pz = m[6] * x + m[7] * y + m[8] * z;
    const w = 1 - this.depth() * pz;
    return [(px * s[0] / w + this.panX + 1) * this.width / 2, (1 - py * s[1] / w - this.panY) * this.height / 2, pz];
  }

  private project() {
    const m = this.turn(), s = this.scale(), d = this.depth(), p = this.place;
    for (let i = 0, j = 0; i < this.points.n; i++, j += 3) {
      const x = p[j], y = p[j + 1], z = p[j + 2];
      const pz = m[6] * x + m[7] * y + m[8] * z;
      const w = 1 - d * pz;
      this.sx[i] = ((m[0] * x + m[1] * y + m[2] * z) * s[0] / w + this.panX + 1) * this.width / 2;
      this.sy[i] = (1 - (m[3] * x + m[4] * y + m[5] * z) * s[1] / w - this.panY) * this.height / 2;
      this.sz[i] = pz;
    }
  }

  // The point under the mouse, or -1. Points with a photo win over their neighbours.
  private pick(x: number, y: number): number {
    this.project();
    let best = -1, least = Infinity;
    for (let i = 0; i < this.points.n; i++) {
      const dx = this.sx[i] - x, dy = this.sy[i] - y;
      const square = dx * dx + dy * dy;
      if (square > 200 || !this.lit(this.groupOf(i))) continue;
      const reach = this.hasPhoto(i) ? 200 : 49;
      if (square > reach) continue;
      const cost = square / reach - 0.2 * this.sz[i];
      if (cost < least) { least = cost; best = i; }
    }
    return best;
  }

  // --- drawing ---
  private draw() {
    if (this.width <= 1) return;
    if (this.webgl) this.drawGl();
    else this.drawFlat();
    this.drawOverlay();
  }

  private prepareGl(): boolean {
    const gl = this.gl!;
    const program = gl.createProgram();
    if (!program) return false;
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as [number, string][]) {
      const shader = gl.createShader(type)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["place", "tint", "rank"].forEach((name, i) => gl.bindAttribLocation(program, i, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    this.program = program;
    this.buffers = [gl.createBuffer()!, gl.createBuffer()!, gl.createBuffer()!];
    this.upload(2, this.rank);
    this.canvas.addEventListener("webglcontextlost", (e) => e.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => {
      this.prepareGl();
      this.upload(0, this.place);
      this.upload(1, this.tint);
      this.redraw();
    });
    return true;
  }

  private upload(buffer: number, data: Float32Array | Uint8Array) {
    if (!this.gl || !this.buffers.length) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[buffer]);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, data, this.gl.DYNAMIC_DRAW);
  }

  // Which points have a photo is known only after construction; they are drawn a little larger.
  markPhotos() {
    for (let i = 0; i < this.points.n; i++) this.rank[i] = this.hasPhoto(i) ? 1.25 : 1;
    this.upload(2, this.rank);
  }

  private drawGl() {
    const gl = this.gl!, program = this.program!;
    const ratio = this.canvas.width / this.width;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const uniform = (name: string) => gl.getUniformLocation(program, name);
    const m = this.turn();
    gl.uniformMatrix3fv(uniform("turn"), false, [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]]);
    gl.uniform2fv(uniform("scale"), this.scale());
    gl.uniform2f(uniform("shift"), this.panX, this.panY);
    gl.uniform1f(uniform("depth"), this.depth());
    gl.uniform1f(uniform("size"), this.pointSize() * ratio);
    gl.uniform3f(uniform("rim"), isDark() ? 0.08 : 1, isDark() ? 0.09 : 1, isDark() ? 0.1 : 1);
    [[3, gl.FLOAT, false], [4, gl.UNSIGNED_BYTE, true], [1, gl.FLOAT, false]].forEach(([size, type, norm], i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, size as number, type as number, norm as boolean, 0, 0);
    });
    gl.drawArrays(gl.POINTS, 0, this.points.n);
  }

  private drawFlat() {
    const context = this.canvas.getContext("2d")!;
    const { width, height } = this.canvas;
    const ratio = width / this.width;
    this.project();
    const picture = context.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    const near = new Float32Array(width * height).fill(-1e9);
    const tint = new Uint32Array(this.tint.buffer);
    const size = Math.max(2, Math.round(this.pointSize() * 0.7 * ratio));
    for (let i = 0; i < this.points.n; i++) {
      const z = this.sz[i] - (this.tint[i * 4 + 3] < 128 ? 100 : 0);
      const left = Math.round(this.sx[i] * ratio - size / 2), top = Math.round(this.sy[i] * ratio - size / 2);
      for (let y = Math.max(0, top); y < Math.min(height, top + size); y++) {
        for (let x = Math.max(0, left); x < Math.min(width, left + size); x++) {
          const corner = (x === left || x === left + size - 1) && (y === top || y === top + size - 1);
          if (corner && size > 3) continue;
          const at = y * width + x;
          if (near[at] < z) { near[at] = z; pixels[at] = tint[i]; }
        }
      }
    }
    context.putImageData(picture, 0, 0);
  }

  private drawOverlay() {
    const context = this.overlay.getContext("2d")!;
    const ratio = this.overlay.width / this.width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = `12px ${variable("--sans") || "sans-serif"}`;
    if (this.flat) this.drawFlatAxes(context);
    else this.drawAxes(context);
    if (this.photo) this.drawPhotos(context);
    if (this.current >= 0) {
      const [x, y] = this.at(this.place[this.current * 3], this.place[this.current * 3 + 1],
        this.place[this.current * 3 + 2]);
      context.strokeStyle = variable("--ink");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, Math.max(6, this.pointSize() / 2 + 3), 0, 7);
      context.stroke();
    }
  }

  private drawAxes(context: CanvasRenderingContext2D) {
    context.lineWidth = 1;
    const half = this.halves();
    const corner = [-half[0], -half[1], -half[2]];
    // The floor, then the three edges that carry names.
    context.strokeStyle = variable("--line");
    const line = (a: number[], b: number[]) => {
      const p = this.at(a[0], a[1], a[2]), q = this.at(b[0], b[1], b[2]);
      context.beginPath();
      context.moveTo(p[0], p[1]);
      context.lineTo(q[0], q[1]);
      context.stroke();
    };
    for (let i = 0; i <= 4; i++) {
      const t = -1 + i / 2;
      line([t * half[0], -half[1], corner[2]], [t * half[0], half[1], corner[2]]);
      line([-half[0], t * half[1], corner[2]], [half[0], t * half[1], corner[2]]);
    }
    context.strokeStyle = variable("--muted");
    context.fillStyle = variable("--ink-2");
    for (let a = 0; a < 3; a++) {
      const end = corner.slice();
      end[a] = half[a];
      line(corner, end);
      const tip = corner.slice();
      tip[a] = half[a] + 0.08;
      const [x, y] = this.at(tip[0], tip[1], tip[2]);
      const name = this.points.axisName(this.axes[a]);
      const w = context.measureText(name).width;
      const centre = a === 2 ? 0.5 : x > this.width / 2 ? 0.2 : 0.8;
      const at: [number, number] = [Math.min(this.width - w - 4, Math.max(4, x - w * centre)), Math.max(12, y + 4)];
      context.save();
      context.strokeStyle = variable("--card");
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeText(name, ...at);
      context.restore();
      context.fillText(name, ...at);
    }
  }

  private drawFlatAxes(context: CanvasRenderingContext2D) {
    const s = this.scale();
    context.lineWidth = 1;
    const ticks = (axis: 0 | 1) => {
      const [low, high] = this.points.range(this.axes[axis]);
      const unit = 2 / Math.max(high - low, 1e-12);
      const side = axis === 0 ? this.width : this.height;
      const pan = axis === 0 ? this.panX : this.panY;
      const from = this.middle[axis] + (-1 - pan) / (unit * s[axis]);
      const to = this.middle[axis] + (1 - pan) / (unit * s[axis]);
      const step = niceStep((to - from) / Math.max(3, side / 110));
      const found: [number, number][] = [];
      for (let v = Math.ceil(from / step) * step; v <= to; v += step) {
        const clip = (v - this.middle[axis]) * unit * s[axis] + pan;
        found.push([Math.abs(v) < step / 1e6 ? 0 : v, axis === 0 ? (clip + 1) * this.width / 2 : (1 - clip) * this.height / 2]);
      }
      return { found, digits: Math.max(0, Math.min(6, -Math.floor(Math.log10(step)))) };
    };
    context.strokeStyle = variable("--line");
    context.fillStyle = variable("--muted");
    const x = ticks(0), y = ticks(1);
    for (const [value, px] of x.found) {
      if (px < 40) continue;
      context.beginPath();
      context.moveTo(px, 0);
      context.lineTo(px, this.height - 34);
      context.stroke();
      context.textAlign = "center";
      context.fillText(value.toFixed(x.digits), px, this.height - 20);
    }
    for (const [value, py] of y.found) {
      if (py > this.height - 34 || py < 24) continue;
      context.beginPath();
      context.moveTo(40, py);
      context.lineTo(this.width, py);
      context.stroke();
      context.textAlign = "right";
      context.fillText(value.toFixed(y.digits), 36, py + 4);
    }
    context.textAlign = "left";
    context.fillStyle = variable("--ink-2");
    context.fillText(this.points.axisName(this.axes[1]), 4, 13);
    context.textAlign = "right";
    context.fillText(this.points.axisName(this.axes[0]), this.width - 4, this.height - 4);
    context.textAlign = "left";
  }

  // One photo per cell of a grid, the nearest first, so that they do not hide each other.
  private drawPhotos(context: CanvasRenderingContext2D) {
    this.project();
    const side = this.width < 500 ? 34 : 46;
    const order: number[] = [];
    for (let i = 0; i < this.points.n; i++) {
      if (this.hasPhoto(i) && this.lit(this.groupOf(i))) order.push(i);
    }
    order.sort((a, b) => this.sz[b] - this.sz[a]);
    const shown: number[] = [];
    const taken = new Set<number>();
    const columns = Math.ceil(this.width / side) + 1;
    for (const i of order) {
      const column = Math.round(this.sx[i] / side), row = Math.round(this.sy[i] / side);
      if (column < 0 || row < 0 || column > columns || row * side > this.height + side) continue;
      const cell = row * 4096 + column;
      if (taken.has(cell)) continue;
      taken.add(cell);
      shown.push(i);
    }
    for (const i of shown.reverse()) {
      const image = this.photo!(i);
      if (!image || !image.complete || !image.naturalWidth) continue;
      const k = side / Math.max(image.naturalWidth, image.naturalHeight);
      const w = image.naturalWidth * k, hgt = image.naturalHeight * k;
      const x = this.sx[i] - w / 2, y = this.sy[i] - hgt / 2;
      const group = this.groupOf(i);
      context.fillStyle = group >= 0 ? css(this.colors[group]) : variable("--muted");
      context.fillRect(x - 2, y - 2, w + 4, hgt + 4);
      context.drawImage(image, x, y, w, hgt);
    }
  }

  // --- mouse, touch, keys ---
  private listen() {
    const pointers = new Map<number, PointerEvent>();
    let moved = false;
    const surface = this.overlay;
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    };
    surface.addEventListener("pointerdown", (e) => {
      surface.setPointerCapture(e.pointerId);
      pointers.set(e.pointerId, e);
      moved = false;
      this.hover(-1, 0, 0);
    });
    surface.addEventListener("pointermove", (e) => {
      const before = pointers.get(e.pointerId);
      if (!before) {
        if (e.pointerType === "mouse") this.hoverAt(e);
        return;
      }
      if (pointers.size === 2) {
        const old = spread();
        pointers.set(e.pointerId, e);
        this.zoomBy(spread() / Math.max(old, 1));
        return;
      }
      const dx = e.clientX - before.clientX, dy = e.clientY - before.clientY;
      if (Math.abs(dx) + Math.abs(dy) > 2) moved = true;
      pointers.set(e.pointerId, e);
      if (this.flat || e.shiftKey) this.pan(dx, dy);
      else this.rotate(dx * 0.008, dy * 0.008);
    });
    const up = (e: PointerEvent) => {
      pointers.delete(e.pointerId);
      if (!moved && e.type === "pointerup") this.hoverAt(e);
    };
    surface.addEventListener("pointerup", up);
    surface.addEventListener("pointercancel", up);
    surface.addEventListener("pointerleave", () => this.hover(-1, 0, 0));
    surface.addEventListener("dblclick", () => this.reset());
    // Without focus the wheel belongs to the page.
    surface.addEventListener("wheel", (e) => {
      if (document.activeElement !== surface && !e.ctrlKey) return;
      e.preventDefault();
      this.zoomBy(Math.exp(-e.deltaY * 0.0015));
    }, { passive: false });
    surface.addEventListener("keydown", (e) => {
      const step = 0.12;
      const keys: Record<string, () => void> = {
        ArrowLeft: () => this.flat ? this.pan(30, 0) : this.rotate(-step, 0),
        ArrowRight: () => this.flat ? this.pan(-30, 0) : this.rotate(step, 0),
        ArrowUp: () => this.flat ? this.pan(0, 30) : this.rotate(0, -step),
        ArrowDown: () => this.flat ? this.pan(0, -30) : this.rotate(0, step),
        "+": () => this.zoomBy(1.2), "=": () => this.zoomBy(1.2), "-": () => this.zoomBy(1 / 1.2),
        "0": () => this.reset(), Escape: () => surface.blur(),
      };
      if (!keys[e.key]) return;
      e.preventDefault();
      keys[e.key]();
    });
  }

  rotate(yaw: number, pitch: number) {
    this.touched = true;
    this.yaw -= yaw;
    this.pitch = Math.max(-1.55, Math.min(1.55, this.pitch + pitch));
    this.redraw();
  }
  private pan(dx: number, dy: number) {
    this.touched = true;
    this.panX += 2 * dx / this.width;
    this.panY -= 2 * dy / this.height;
    this.redraw();
  }
  zoomBy(factor: number) {
    this.touched = true;
    const zoom = Math.max(0.4, Math.min(40, this.zoom * factor));
    this.panX *= zoom / this.zoom;
    this.panY *= zoom / this.zoom;
    this.zoom = zoom;
    this.redraw();
  }
  private hoverAt(e: PointerEvent) {
    const box = this.overlay.getBoundingClientRect();
    this.hover(this.pick(e.clientX - box.left, e.clientY - box.top), e.clientX, e.clientY);
  }
  private hover(point: number, x: number, y: number) {
    if (point !== this.current) this.redraw();
    this.current = point;
    this.onHover(point, x, y);
  }
  // Where a point is in the window, for whoever drives the page.
  where(i: number): [number, number] {
    const box = this.overlay.getBoundingClientRect();
    const [x, y] = this.at(this.place[i * 3], this.place[i * 3 + 1], this.place[i * 3 + 2]);
    return [box.left + x, box.top + y];
  }
}

export function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const lead = rough / power;
  return (lead > 5 ? 10 : lead > 2 ? 5 : lead > 1 ? 2 : 1) * power;
}
