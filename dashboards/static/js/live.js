// The one stream of the page: pulse and banners, the live list, and news for whoever asked to be told.

import { age, getJson, named, num, setNow, setShape, setTime, t } from "./words.js";

const KEPT = 80; // rows in the list
const WAITING = 200; // rows that wait while the reader reads; more are dropped, oldest first

/** Calls `on.opinion`, `on.alert`, `on.status` as things happen. One EventSource per page. */
export function connect(on) {
  const pulse = document.getElementById("pulse");
  const pulseText = document.getElementById("pulse-text");
  const offline = document.getElementById("banner-offline");
  let status = null, statusAt = 0, lostAt = 0;

  const source = new EventSource("/api/live");
  source.onopen = () => { lostAt = 0; tick(); };
  source.onerror = () => { lostAt ||= Date.now(); tick(); };
  source.addEventListener("opinion", (e) => on.opinion?.(JSON.parse(e.data)));
  source.addEventListener("alert", (e) => on.alert?.(JSON.parse(e.data)));
  source.addEventListener("status", (e) => {
    const before = status;
    status = JSON.parse(e.data);
    statusAt = Date.now();
    setNow(status.now);
    if (before && before.newest_indexed_at !== status.newest_indexed_at) beat();
    tick();
    on.status?.(status, before);
  });

  function beat() {
    pulse.classList.remove("beat");
    void pulse.offsetWidth; // start the animation anew
    pulse.classList.add("beat");
  }

  function tick() {
    const lost = lostAt && Date.now() - lostAt > 3000;
    offline.hidden = !lost;
    if (lost) {
      pulse.dataset.state = "offline";
      pulseText.textContent = t("offline");
    } else if (status) {
      const seconds = status.newest_age_s == null ? null : status.newest_age_s + (Date.now() - statusAt) / 1000;
      const state = status.stale ? "stale" : seconds == null ? "waiting" : status.mode;
      pulse.dataset.state = state;
      pulseText.textContent = seconds == null ? t("waiting") : `${t(state)} · ${age(seconds)}`;
      document.getElementById("banner-stale").hidden = !status.stale;
    }
  }
  setInterval(tick, 1000);
  addEventListener("pagehide", () => source.close());
}

/** The list of texts as they come. What the reader reads never moves: then new rows wait behind a button. */
export class Stream {
  constructor(panel, state) {
    this.panel = panel;
    this.state = state; // {key}: the key that "only this" means
    this.list = panel.querySelector("#stream");
    this.template = document.getElementById("live-row");
    this.fresh = panel.querySelector("#fresh");
    this.empty = panel.querySelector("#stream-empty");
    this.skippedNote = panel.querySelector("#skipped");
    this.waiting = [];
    this.seen = new Set();
    this.rows = new Map(); // story id → row
    this.skipped = 0;
    this.filter = panel.querySelector('[data-show][aria-pressed="true"]').dataset.show;
    this.list.addEventListener("pointerenter", () => { this.pointed = true; });
    this.list.addEventListener("pointerleave", () => { this.pointed = false; });
    this.fresh.addEventListener("click", () => { this.list.scrollTop = 0; this.flush(true); });
    for (const button of panel.querySelectorAll("[data-show]")) button.addEventListener("click", () => this.show(button.dataset.show));
    setInterval(() => this.flush(), 600);
    this.fill();
  }

  show(filter) {
    this.filter = filter;
    for (const b of this.panel.querySelectorAll("[data-show]")) b.setAttribute("aria-pressed", String(b.dataset.show === filter));
    this.fill();
  }

  /** Start anew with the newest texts that fit. */
  async fill() {
    this.asked = (this.asked ?? 0) + 1;
    const asked = this.asked;
    const query = { limit: 40 };
    if (this.filter === "negative") query.sentiment = "negative";
    if (this.filter === "key" && this.state.key !== "all") query.key = this.state.key;
    const found = await getJson("/api/opinions", query).catch(() => ({ items: [] }));
    if (asked !== this.asked) return;
    this.list.replaceChildren();
    this.rows.clear();
    this.seen.clear();
    this.waiting = this.waiting.filter((o) => this.wanted(o));
    for (const o of found.items.reverse()) this.add(o);
    this.empty.hidden = this.list.childElementCount > 0;
  }

  wanted(o) {
    if (this.filter === "negative") return o.sentiment.label === "negative";
    if (this.filter === "key") return keysOf(o).has(this.state.key);
    return true;
  }

  push(o) {
    if (this.seen.has(o.id) || !this.wanted(o)) return;
    this.waiting.push(o);
    if (this.waiting.length > WAITING) this.waiting.shift();
  }

  skip(n) {
    this.skipped += n;
    this.skippedNote.hidden = this.skipped === 0;
    this.skippedNote.textContent = t("skipped", { n: num(this.skipped) });
  }

  get reading() {
    return this.pointed || this.list.scrollTop > 4 || this.list.contains(document.activeElement);
  }

  flush(force = false) {
    if (this.reading && !force) {
      this.fresh.hidden = this.waiting.length === 0;
      this.fresh.textContent = t("new", { n: num(this.waiting.length) });
      return;
    }
    this.fresh.hidden = true;
    if (this.waiting.length === 0) return;
    for (const o of this.waiting.splice(0)) this.add(o);
    this.empty.hidden = true;
    while (this.list.childElementCount > KEPT) this.drop(this.list.lastElementChild);
  }

  drop(row) {
    if (this.rows.get(row.dataset.story) === row) this.rows.delete(row.dataset.story);
    this.seen.delete(row.dataset.id);
    row.remove();
  }

  add(o) {
    if (this.seen.has(o.id)) return;
    this.seen.add(o.id);
    const held = this.rows.get(o.story_id);
    if (held) { // a copy of a story that is shown: it counts there
      this.count(held, o);
      return;
    }
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.dataset.story = o.story_id;
    row.dataset.id = o.id;
    setTime(row.querySelector("time"), o.published_at, "stream");
    setShape(row.querySelector(".shape"), o.unsure ? "unsure" : o.sentiment.label);
    row.querySelector(".source").textContent = o.author ? `${o.source} · ${o.author}` : o.source;
    row.querySelector(".headline").append(headline(o));
    row.querySelector(".tags").append(...chips(o));
    this.rows.set(o.story_id, row);
    this.list.prepend(row);
  }

  count(row, o) {
    row.dataset.copies = String(Number(row.dataset.copies || 1) + 1);
    let badge = row.querySelector(".copies");
    if (!badge) {
      badge = document.createElement("a");
      badge.className = "copies";
      badge.href = `/search?${new URLSearchParams({ story: o.story_id })}`;
      row.querySelector(".tags").prepend(badge);
    }
    badge.textContent = `×${num(Number(row.dataset.copies))}`;
  }
}

export function keysOf(o) {
  const entities = o.entities.map((e) => e.entity), topics = o.topics.map((x) => x.label);
  return new Set([
    "all", ...entities.map((e) => `entity:${e}`), ...topics.map((x) => `topic:${x}`), ...o.watches.map((w) => `watch:${w}`),
    ...entities.flatMap((e) => topics.map((x) => `entity_topic:${e}|${x}`)),
  ]);
}

function headline(o) {
  const text = (o.title || o.text).slice(0, 240);
  if (!o.url || !/^https?:\/\//i.test(o.url)) return document.createTextNode(text);
  const a = document.createElement("a");
  a.href = o.url;
  a.target = "_blank";
  a.rel = "noopener noreferrer nofollow";
  a.textContent = text;
  return a;
}

function chips(o) {
  const out = [], seen = new Set();
  for (const e of o.entities) {
    if (seen.has(e.entity) || out.length === 2) continue;
    seen.add(e.entity);
    const a = document.createElement("a");
    a.className = "chip";
    a.href = `/key/${encodeURIComponent(e.key)}`;
    const shape = document.createElement("span");
    setShape(shape, e.sentiment.label);
    a.append(shape, named(e.names));
    out.push(a);
  }
  const topic = o.topics[0];
  if (topic) {
    const a = document.createElement("a");
    a.className = "chip topic";
    a.href = `/key/${encodeURIComponent(`topic:${topic.label}`)}`;
    a.textContent = named(topic.names);
    out.push(a);
  }
  return out;
}
