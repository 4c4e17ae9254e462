// The first screen and the page of one key: what turned bad, why we believe it, what to read.

import { act } from "./actions.js";
import { Chart } from "./chart.js";
import { Stream, connect } from "./live.js";
import { loadPart, named, now, otherName, say, t, toast } from "./words.js";

const HOURS = { "1h": 1, "6h": 6, "24h": 24, "7d": 168, "28d": 672 };
const REDRAW_MS = 3000; // the chart follows the stream no faster
const PANEL_MS = 8000; // and the side panel

export function startDesk() {
  const desk = document.getElementById("desk");
  const state = { ...desk.dataset, alert: null };
  let chosen = location.search !== "" || state.scope !== ""; // until the reader chooses, the newest alert is shown
  const panel = document.getElementById("alerts");
  const chart = new Chart(document.getElementById("chart"));
  const stream = new Stream(document.getElementById("live"), state);
  const back = document.getElementById("back");
  let drawnAt = 0, panelAt = Date.now(), panelDue = false, pointed = false;

  const span = () => {
    const end = state.to ? new Date(state.to) : new Date(now().getTime() + 1);
    return [new Date(end.getTime() - HOURS[state.range] * 3.6e6).toISOString(), end.toISOString()];
  };

  /** Draw what `state` says, and put it into the address. */
  async function draw() {
    drawnAt = Date.now();
    const [start, end] = span();
    back.hidden = !state.to;
    const [series] = await Promise.all([
      chart.show(state.key, start, end),
      loadPart(document.getElementById("stories"), "/parts/stories", { key: state.key, start, end }).catch(() => {}),
    ]);
    if (series) describe(series);
  }

  function describe(series) {
    document.getElementById("who-name").textContent = named(series.names);
    document.getElementById("who-other").textContent = otherName(series.names);
    document.getElementById("live-key").textContent = named(series.names);
    desk.querySelector('[data-show="key"]').hidden = state.key === "all";
    const alert = series.alerts.find((a) => a.alert_id === state.wanted) ?? series.alerts[0] ?? null;
    state.alert = alert?.alert_id ?? null;
    document.getElementById("why").hidden = !alert;
    if (!alert) return;
    document.getElementById("why-sentence").textContent = named(alert.sentence);
    document.getElementById("why-link").href = `/alerts/${alert.alert_id}`;
    const closed = alert.status === "resolved";
    for (const b of document.querySelectorAll("#why [data-act]")) b.hidden = closed || (b.dataset.act === "ack" && alert.acked_at != null);
  }

  function remember() {
    const query = new URLSearchParams({ range: state.range });
    if (state.to) query.set("to", state.to);
    if (!state.scope) query.set("key", state.key);
    history.replaceState(null, "", `${location.pathname}?${query}`);
  }

  function mark(row) {
    for (const other of panel.querySelectorAll(".item")) other.classList.toggle("selected", other === row);
  }

  /** Show the key of a row. */
  function show(row) {
    state.key = row.dataset.key;
    state.wanted = row.dataset.alert ?? null;
    state.to = "";
    state.following = false;
    anchor(row);
    mark(row);
    draw();
    if (stream.filter === "key") stream.fill();
  }

  /** A closed alert is shown at its own time, not at what came after. */
  function anchor(row) {
    if (!row.dataset.end || state.to) return;
    const to = new Date(Date.parse(row.dataset.fired) + (HOURS[state.range] * 3.6e6) / 3);
    if (to < now()) state.to = to.toISOString();
  }

  /** Time went on: the alert that is shown may have ended meanwhile. */
  function settle(row = [...panel.querySelectorAll("[data-alert]")].find((r) => r.dataset.alert === state.wanted)) {
    if (!row || row.dataset.alert !== state.wanted || state.to || state.following) return;
    anchor(row);
    if (state.to) draw();
  }

  function select(row) {
    chosen = true;
    show(row);
    remember();
  }

  async function refreshPanel() {
    if (pointed) { panelDue = true; return; } // never move what is being pointed at
    panelDue = false;
    panelAt = Date.now();
    const focused = panel.contains(document.activeElement) ? document.activeElement.closest(".item")?.dataset : null;
    const known = new Set([...panel.querySelectorAll("[data-alert]")].map((el) => el.dataset.alert));
    const at = panel.scrollTop;
    try {
      await loadPart(panel, "/parts/alerts", { scope: state.scope, selected: state.key });
    } catch { return; }
    panel.scrollTop = at;
    const rows = [...panel.querySelectorAll(".item")];
    for (const row of rows) if (row.dataset.alert && !known.has(row.dataset.alert)) row.classList.add("new");
    const selected = rows.filter((r) => r.dataset.key === state.key);
    const one = selected.find((r) => r.dataset.alert && r.dataset.alert === state.alert) ?? selected[0];
    for (const row of rows) row.classList.toggle("selected", row === one);
    settle(one);
    if (focused) rows.find((r) => r.dataset.alert === focused.alert && r.dataset.key === focused.key)?.querySelector("a").focus();
  }

  panel.addEventListener("pointerenter", () => { pointed = true; });
  panel.addEventListener("pointerleave", () => { pointed = false; if (panelDue) refreshPanel(); });
  panel.addEventListener("click", (e) => {
    const row = e.target.closest(".item");
    if (!row || e.metaKey || e.ctrlKey || e.shiftKey || (state.scope && row.dataset.key !== state.scope)) return;
    e.preventDefault();
    select(row);
  });
  for (const button of desk.querySelectorAll(".range[data-range]")) button.addEventListener("click", () => {
    chosen = true;
    state.range = button.dataset.range;
    for (const b of desk.querySelectorAll(".range[data-range]")) b.setAttribute("aria-pressed", String(b === button));
    remember();
    draw();
  });
  back.addEventListener("click", () => { chosen = state.following = true; state.to = ""; remember(); draw(); });
  for (const button of document.querySelectorAll("#why [data-act]")) button.addEventListener("click", () => perform(button.dataset.act));

  async function perform(what) {
    if (!state.alert) return;
    if (await act(state.alert, what)) {
      pointed = false;
      await refreshPanel();
      draw();
    }
  }

  connect({
    opinion: (o) => stream.push(o),
    alert: async (a) => {
      if (a.event === "fired") {
        const sentence = t("new_alert", { name: named(a.names) });
        toast(sentence, `/alerts/${a.alert_id}`);
        say(sentence);
      }
      await refreshPanel();
      const row = [...panel.querySelectorAll("[data-alert]")].find((r) => r.dataset.alert === a.alert_id);
      if (!chosen && a.event === "fired" && row) show(row);
      else if (a.key === state.key && !state.to) draw();
    },
    status: (status, before) => {
      if (status.skipped) stream.skip(status.skipped);
      loadFoot();
      const moved = !before || before.newest_indexed_at !== status.newest_indexed_at;
      if (!moved) return;
      const started = document.getElementById("start");
      if (started && status.opinions > 0) { started.remove(); refreshPanel(); draw(); }
      settle();
      if (!state.to && Date.now() - drawnAt > REDRAW_MS) draw();
      if (Date.now() - panelAt > PANEL_MS) refreshPanel();
    },
  });
  document.addEventListener("windvane:theme", () => chart.draw());
  draw();

  return {
    rows: () => [...panel.querySelectorAll(".item")],
    select: (row) => (state.scope && row.dataset.key !== state.scope ? mark(row) : select(row)),
    open: (row) => { location.href = row.querySelector("a").href; },
    act: perform,
    showNew: () => stream.fresh.click(),
  };
}

function loadFoot() {
  loadPart(document.getElementById("foot"), "/parts/foot", {}).catch(() => {});
}
