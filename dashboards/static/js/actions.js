// What a person can do with an alert. Each answers in words, so that nobody wonders whether it worked.

import { getJson, sendJson, say, t, toast, setTime } from "./words.js";

const DAY = 24 * 60;
const CALLS = {
  ack: ["ack", {}, "acked"],
  snooze: ["snooze", { minutes: 60 }, "snoozed"],
  wrong: ["useful", { useful: false }, "judged_wrong"],
  right: ["useful", { useful: true }, "judged_right"],
  assign: ["assign", {}, "hand_assigned"],
  resolve: ["resolve", {}, "hand_resolved"],
  snooze_key: ["snooze", { scope: "key", minutes: DAY }, "hand_snoozed"],
  snooze_rule: ["snooze", { scope: "rule", minutes: DAY }, "hand_snoozed"],
};

/** The name that the reader gave on this machine; there are no accounts. */
const reader = () => {
  const by = (localStorage.getItem("windvane_by") ?? "").trim();
  return by ? { by } : {};
};

/** Do it; the alert as it is then, or null when it failed (and the reader was told why). */
export async function act(alertId, what, more = {}) {
  const [path, body, sentence] = CALLS[what];
  try {
    const alert = await sendJson(`/api/alerts/${alertId}/${path}`, { ...reader(), ...body, ...more });
    toast(t(sentence));
    say(t(sentence));
    return alert;
  } catch (e) {
    toast(t("failed", { why: e.message }));
    return null;
  }
}

/** The buttons of the alert page. */
export function startAlert(chart) {
  const page = document.getElementById("alert");
  const show = (alert) => {
    page.querySelector('[data-act="ack"]').disabled = alert.acked_at != null;
    if (alert.acked_at) line("done", `✓ ${t("by_you")}`, alert.acked_at);
    if (alert.snoozed_until) line("snoozed", t("snoozed_until"), alert.snoozed_until);
    page.querySelector('[data-act="wrong"]').setAttribute("aria-pressed", String(alert.useful === false));
    page.querySelector('[data-act="right"]').setAttribute("aria-pressed", String(alert.useful === true));
    words("assigned", alert.assigned_to ? t("hand_assigned_to", { to: alert.assigned_to }) : "");
    words("closed", alert.resolved_by ? t("hand_resolved_by", { by: alert.resolved_by, reason: alert.resolve_reason }) : "");
    if (alert.useful != null) document.getElementById("judged").textContent = t(alert.useful ? "judged_right" : "judged_wrong");
  };
  const perform = async (what, more) => {
    const alert = await act(page.dataset.alert, what, more);
    if (alert) show(alert);
  };
  for (const form of page.querySelectorAll("[data-form]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (form.dataset.form !== "by") perform(form.dataset.form, Object.fromEntries(new FormData(form)));
    });
  }
  const name = page.querySelector('[data-form="by"] input');
  name.value = reader().by ?? "";
  name.addEventListener("change", () => localStorage.setItem("windvane_by", name.value));
  for (const button of page.querySelectorAll("[data-act]")) button.addEventListener("click", () => perform(button.dataset.act));

  const draw = async () => {
    const status = await getJson("/api/status").catch(() => null);
    const began = Date.parse(page.dataset.began);
    const end = page.dataset.end ? Date.parse(page.dataset.end) : Date.parse(status?.now ?? page.dataset.fired);
    const length = Math.max(end - began, 6 * 3.6e6);
    const to = Math.min(end + length / 3, Math.max(end, Date.parse(status?.now ?? Infinity)));
    chart.show(page.dataset.key, new Date(began - Math.max(length, 18 * 3.6e6)).toISOString(), new Date(to).toISOString());
  };
  document.addEventListener("windvane:theme", () => chart.draw());
  draw();
  return { rows: () => [...page.querySelectorAll(".story")], open: (row) => row.querySelector("a")?.click(), act: perform };
}

function words(id, text) {
  document.getElementById(id).textContent = text;
}

function line(id, words, iso) {
  const el = document.getElementById(id);
  const time = document.createElement("time");
  setTime(time, iso, "full");
  el.replaceChildren(`${words} `, time);
}
