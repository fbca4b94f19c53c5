// SPDX-License-Identifier: Apache-2.0
// Keeps the page's own files, so that it opens offline. What is asked of a server is never kept; the edge mode's
// network is kept by edge/assets.ts.

declare const SHELL: string[]; // set by build.mjs
declare const EDGE: string[]; // scripts of edge mode
declare const VERSION: string;

const worker = self as unknown as {
  addEventListener(kind: string, run: (event: any) => void): void;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
  registration: { scope: string };
};
const base = new URL(worker.registration.scope);
// Caches are the origin's, where other pages of ours may stand beside this one: each has its own.
const kOwn = `pomona-page-${base.pathname}-`;
const kCache = kOwn + VERSION;
const here = (names: string[]) => new Set(names.map((name) => new URL(name, base).href));
const shell = here(SHELL);
const edge = here(EDGE);
// Files of the owner: the newest where there is a network, the last seen where there is none.
const owned = here(["config.json", "catalogue.json", "model.json"]);

worker.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(kCache);
    const config = await fetch(new URL("config.json", base), { cache: "no-cache" }).then((answer) => answer.json());
    const isEdge = config.mode === "edge";
    // The graphics chip's engine is kept once somebody asks for it.
    const needed = [...shell, ...[...edge].filter((url) => isEdge && !url.includes("webgpu"))];
    const owner = [...owned].filter((url) => isEdge || !url.endsWith("/model.json"));
    await Promise.all([...needed, ...owner].map(async (url) => {
      const answer = await fetch(url, { cache: "no-cache" });
      if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
      await cache.put(url, direct(answer));
    }));
    await worker.skipWaiting();
  })());
});

worker.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(kOwn) && name !== kCache) await caches.delete(name);
    }
    await worker.clients.claim();
  })());
});

// Hosts that lead index.html to the folder's own address are common, and a browser opens no page from an answer that
// came by such a way: it is kept as one that did not.
function direct(answer: Response): Response {
  return answer.redirected ? new Response(answer.body, { status: answer.status, headers: answer.headers }) : answer;
}

async function newest(request: Request): Promise<Response> {
  const cache = await caches.open(kCache);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request.url, direct(answer.clone()));
    return answer;
  } catch (error) {
    const kept = await cache.match(request.url);
    if (kept) return kept;
    throw error;
  }
}

async function kept(url: string, request: Request): Promise<Response> {
  const cache = await caches.open(kCache);
  const found = await cache.match(url);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(url, direct(answer.clone()));
  return answer;
}

worker.addEventListener("fetch", (event) => {
  const request: Request = event.request;
  if (request.method !== "GET") return;
  const url = new URL(request.url);
  url.search = "";
  url.hash = "";
  const page = url.href === base.href ? new URL("index.html", base).href : url.href;
  if (shell.has(page) || edge.has(page)) event.respondWith(kept(page, request));
  else if (owned.has(url.href)) event.respondWith(newest(request));
});
