// SPDX-License-Identifier: Apache-2.0
// What the page draws with besides elements: icons, and sentences for screen readers.
import { svg } from "../../common/elements";

// Line drawings on a 24 x 24 grid, for buttons; a screen reader passes them over.
const drawings = {
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  again: "M5 12a7 7 0 1 0 2-5M5 4v4h4",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4",
  box: "M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8",
  scale: "M12 4v16M7 20h10M5 8h14M5 8l-2 5h4zM19 8l-2 5h4z",
  leaf: "M5 19C5 9 10 5 20 4c0 10-5 15-13 14M5 19l7-8",
};

export function icon(name: keyof typeof drawings): SVGElement {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: drawings[name] }));
}

// Says a sentence to those who cannot see the page.
export function announce(text: string) {
  document.getElementById("status")!.textContent = text;
}
