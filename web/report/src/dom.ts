// SPDX-License-Identifier: Apache-2.0
// Formats, the one tooltip, charts that follow the width.
import { append, h, type Child } from "../../common/elements";

const whole = new Intl.NumberFormat("en");
export const count = (n: number) => whole.format(Math.round(n));
export const plural = (n: number, one: string, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

// 0.99893 -> "99.89 %": more digits where they tell good from better.
export function percent(share: number, digits?: number): string {
  const value = share * 100;
  if (digits === undefined && value > 0 && value < 0.01) return "<0.01\u00a0%";
  const d = digits ?? (value === 100 || value === 0 ? 0 : value > 99 || value < 1 ? 2 : 1);
  return `${value.toFixed(d)}\u00a0%`;
}

export function seconds(s: number): string {
  if (s < 1) return `${Math.round(s * 1000)}\u00a0ms`;
  if (s < 10) return `${s.toFixed(2)}\u00a0s`;
  if (s < 90) return `${s.toFixed(1)}\u00a0s`;
  if (s < 5400) return `${Math.floor(s / 60)}\u00a0min ${String(Math.round(s % 60)).padStart(2, "0")}\u00a0s`;
  return `${Math.floor(s / 3600)}\u00a0h ${String(Math.round((s % 3600) / 60)).padStart(2, "0")}\u00a0min`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${count(n)}\u00a0B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let u = -1;
  do { n /= 1024; u++; } while (n >= 1024 && u < units.length - 1);
  return `${n < 10 ? n.toFixed(1) : count(n)}\u00a0${units[u]}`;
}

// "1,872 Test photos"; splits that are no plain word stand behind: "1,121 photos (20 % held back)".
export function judgedOn(photos: number, split: string): string {
  if (!split || split === "all") return plural(photos, "photo");
  return /^[A-Z][a-z]+$/.test(split) ? `${count(photos)} ${split} ${photos === 1 ? "photo" : "photos"}`
    : `${plural(photos, "photo")} (${split.replace(" %", "\u00a0%")})`;
}

export const baseName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

// --- the tooltip ---
let tip: HTMLElement | null = null;

export function showTip(x: number, y: number, ...content: Child[]) {
  if (!tip) {
    tip = h("div", { class: "tip", "aria-hidden": "true" });
    document.body.append(tip);
  }
  tip.replaceChildren();
  append(tip, content);
  tip.style.display = "block";
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > document.documentElement.clientWidth ? x - 14 - box.width : x + 16;
  const top = y + 16 + box.height > innerHeight ? y - 14 - box.height : y + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

export function hideTip() {
  if (tip) tip.style.display = "none";
}

// Shows `content` while the mouse is over `element`.
export function withTip<T extends Element>(element: T, content: () => Child[]): T {
  element.addEventListener("pointermove", (event) => {
    const e = event as PointerEvent;
    showTip(e.clientX, e.clientY, ...content());
  });
  element.addEventListener("pointerleave", hideTip);
  return element;
}

// Draws again whenever the width changes, so that text in charts keeps its size.
export function responsive(host: HTMLElement, draw: (width: number) => Node): HTMLElement {
  let last = "";
  new ResizeObserver(() => {
    const width = Math.floor(host.clientWidth);
    // The height is the chart's own doing, except on slides.
    const size = isSlide() ? `${width} ${host.clientHeight}` : String(width);
    if (size === last || width === 0) return;
    last = size;
    host.replaceChildren(draw(width));
  }).observe(host);
  return host;
}

export const isSlide = () => document.documentElement.classList.contains("slide");
