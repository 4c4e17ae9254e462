// Words, numbers and times as the reader writes them. Everything that enters the page goes through textContent.

const dictionary = JSON.parse(document.getElementById("words").textContent);
export const zh = document.documentElement.lang.startsWith("zh");
const locale = zh ? "zh-CN" : "en-GB";

export function t(key, fill = {}) {
  const phrase = dictionary[`js.${key}`] ?? key;
  return phrase.replace(/\{(\w+)\}/g, (whole, name) => (name in fill ? String(fill[name]) : whole));
}

/** 12345 as 1.23万 or 12.3k, as words.py does it. */
export function num(value) {
  const steps = zh ? [[1e8, "亿"], [1e4, "万"]] : [[1e9, "B"], [1e6, "M"], [1e3, "k"]];
  for (const [size, unit] of steps) if (Math.abs(value) >= size) return figures(value / size) + unit;
  return figures(value);
}

function figures(value) {
  if (Number.isInteger(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

export function percent(share) {
  const p = 100 * share;
  return `${p >= 10 || p === 0 ? p.toFixed(0) : p.toFixed(1)}%`;
}

const clockFormat = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const secondsFormat = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(locale, zh ? { month: "numeric", day: "numeric" } : { day: "numeric", month: "short" });
const fullDayFormat = new Intl.DateTimeFormat(locale, { year: "numeric", month: zh ? "numeric" : "short", day: "numeric" });

let eventNow = new Date(document.body.dataset.now || Date.now());
export const now = () => eventNow;
export const setNow = (iso) => { eventNow = new Date(iso); };

const sameDay = (a, b) => a.toDateString() === b.toDateString();
export const clock = (at) => clockFormat.format(at);
export const day = (at) => dayFormat.format(at);

/** Short: the clock today, the day before it otherwise; full: always with the year; stream: what stays right as time goes on. */
export function when(at, style = "auto") {
  if (style === "full") return `${fullDayFormat.format(at)} ${clockFormat.format(at)}`;
  if (style === "stream") return document.body.dataset.mode === "live" ? secondsFormat.format(at) : `${dayFormat.format(at)} ${clockFormat.format(at)}`;
  if (sameDay(at, eventNow)) return clockFormat.format(at);
  if (at.getFullYear() === eventNow.getFullYear()) return `${dayFormat.format(at)} ${clockFormat.format(at)}`;
  return fullDayFormat.format(at);
}

export const utc = (at) => `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** Every <time> below `root` in the reader's zone, UTC on hover. */
export function localise(root = document) {
  for (const el of root.querySelectorAll("time[datetime]")) setTime(el, el.dateTime, el.dataset.style);
}

export function setTime(el, iso, style) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return;
  el.dateTime = iso;
  el.textContent = when(at, style);
  el.title = utc(at);
}

export function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return t("ago.s", { n: s });
  if (s < 5400) return t("ago.min", { n: Math.round(s / 60) });
  if (s < 129600) return t("ago.h", { n: Math.round(s / 3600) });
  return t("ago.d", { n: num(Math.round(s / 86400)) });
}

/** 21600 as "6 h". */
export const duration = (seconds) => (seconds >= 172800 ? t("ago.d", { n: seconds / 86400 }) : t("ago.h", { n: seconds / 3600 }));

export const SHAPES = { negative: "▼", positive: "▲", neutral: "●", unsure: "○" };

/** Fill a span with the shape of a sentiment and its word for those who do not see it. */
export function setShape(el, label) {
  el.className = `shape ${label}`;
  el.title = t(label);
  const word = document.createElement("span");
  word.className = "unseen";
  word.textContent = t(label);
  el.replaceChildren(SHAPES[label], word);
}

export const named = (names) => (zh ? names.zh : names.en);
export const otherName = (names) => [names.zh === names.en ? "" : zh ? names.en : names.zh, ...names.tickers].filter(Boolean).join(" ");

/** GET a JSON answer, or throw an Error with the server's own sentence. */
export async function getJson(path, query = {}, options = {}) {
  const held = Object.entries(query).filter(([, v]) => v !== "" && v != null);
  const answer = await fetch(`${path}?${new URLSearchParams(held)}`, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `${answer.status}`);
  return body;
}

export async function sendJson(path, body, method = "POST") {
  const answer = await fetch(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const got = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(got.error || `${answer.status}`);
  return got;
}

/** Replace what is in `el` by a part that the server rendered (escaped there). */
export async function loadPart(el, path, query) {
  const answer = await fetch(`${path}?${new URLSearchParams(Object.entries(query))}`);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  localise(parsed);
  el.replaceChildren(...parsed.body.childNodes);
}

export function say(sentence) {
  document.getElementById("said").textContent = sentence;
}

let toastTimer = 0;
/** A short notice; `href` makes it a link. */
export function toast(sentence, href = null) {
  const el = document.getElementById("toast");
  if (href) {
    const a = document.createElement("a");
    a.href = href;
    a.textContent = sentence;
    el.replaceChildren(a);
  } else el.textContent = sentence;
  el.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { el.hidden = true; }, 6000);
}
