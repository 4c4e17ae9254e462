// Subscriptions: the list, the form of one, and what was sent. Every change goes to the JSON API and answers in words.

import { combobox } from "./combobox.js";
import { getJson, named, otherName, sendJson, t, toast } from "./words.js";

const WITHOUT_TARGET = ["web", "log"];

/** ?by=, the name that the reader gave on this machine; there are no accounts. */
const by = () => {
  const name = (localStorage.getItem("windvane_by") ?? "").trim();
  return name ? `?${new URLSearchParams({ by: name })}` : "";
};
const path = (id, more = "") => `/api/subscriptions/${encodeURIComponent(id)}${more}`;

/** Send a test message, and show how its answer is understood and the provider's own words. */
async function tested(button, box, send) {
  button.disabled = true;
  box.hidden = false;
  box.textContent = t("testing");
  try {
    const found = await send();
    const verdict = document.createElement("p");
    verdict.className = found.outcome === "accepted" ? "" : "warn";
    verdict.textContent = `${found.outcome === "accepted" ? "✓" : "✕"} ${t(`outcome.${found.outcome}`)}`;
    const reason = document.createElement("p");
    reason.textContent = found.reason;
    box.replaceChildren(verdict, reason);
    if (found.said) {
      const said = document.createElement("pre");
      said.textContent = `${found.status ?? ""} ${found.said}`.trim();
      box.append(said);
    }
  } catch (e) {
    box.textContent = t("failed", { why: e.message });
  }
  button.disabled = false;
}

/** The list: test, pause, resume, remove. */
export function startSubscriptions() {
  const sure = document.getElementById("sure");
  const rows = () => [...document.querySelectorAll(".subscription")];
  const change = async (id, fields) => {
    const stored = await getJson(path(id)); // its version too: 409 when somebody else is quicker
    await sendJson(path(id, by()), { ...stored, ...fields }, "PUT");
  };
  const verbs = {
    test: (row, button) => tested(button, row.querySelector(".answer"), () => sendJson(path(row.dataset.id, "/test"), {})),
    pause: (row) => change(row.dataset.id, { active: false }).then(() => location.reload()),
    resume: (row) => change(row.dataset.id, { active: true }).then(() => location.reload()),
    remove: async (row, button) => {
      document.getElementById("sure-name").textContent = button.dataset.name;
      sure.returnValue = "";
      sure.showModal();
      await new Promise((done) => { sure.addEventListener("close", done, { once: true }); });
      if (sure.returnValue !== "yes") return;
      await sendJson(path(row.dataset.id, by()), {}, "DELETE");
      location.reload();
    },
  };
  for (const row of rows()) {
    for (const button of row.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => verbs[button.dataset.do](row, button).catch((e) => toast(t("failed", { why: e.message }))));
    }
  }
  return { rows, open: (row) => row.querySelector("h2 a").click() };
}

/** The form as the API takes it. */
function fields(form) {
  const data = {};
  for (const el of form.querySelectorAll("[name]")) {
    if (el.disabled && !el.value) continue; // the time of a daily digest, emptied and then not asked for
    if (el.dataset.list === "value") (data[el.name] ??= []).push(...(el.checked ? [el.name === "tiers" ? Number(el.value) : el.value] : []));
    else if (el.dataset.list === "lines") (data[el.name] ??= []).push(...el.value.split("\n").map((v) => v.trim()).filter(Boolean));
    else if (el.type === "checkbox") data[el.name] = el.checked;
    else if (el.type === "number") data[el.name] = Number(el.value);
    else data[el.name] = el.value.trim();
  }
  const { quiet_from: from, quiet_to: to, ...rest } = data;
  rest.quiet = from || to ? `${from}-${to}` : "";
  rest.entities = [...form.querySelectorAll("#entities .chip")].map((chip) => chip.dataset.value);
  if (WITHOUT_TARGET.includes(rest.channel)) rest.target = "";
  return rest;
}

/** An id made from the name, or from the channel and the minute where the name has no Latin letters. */
const idOf = (data) => data.id || data.name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64)
  || `${data.channel}-${Math.floor(Date.now() / 60000).toString(36)}`;

/** The form of one subscription. */
export function startSubscription() {
  const form = document.getElementById("subscription");
  const fresh = form.dataset.new === "yes";
  const wrong = document.getElementById("wrong");
  const channel = form.elements.channel;
  if (fresh) {
    form.elements.zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    form.elements.language.value = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
    form.elements.owner.value = localStorage.getItem("windvane_by") ?? "";
  }

  const follow = () => {
    const none = WITHOUT_TARGET.includes(channel.value);
    document.getElementById("target-field").hidden = none;
    document.getElementById("no-target").hidden = !none;
    for (const hint of form.querySelectorAll("[data-hint]")) hint.hidden = hint.dataset.hint !== channel.value;
    const at = form.elements.digest_at;
    at.disabled = form.elements.digest.value !== "daily"; // what is hidden and required could not be sent
    at.closest("label").hidden = at.disabled;
  };
  channel.addEventListener("change", follow);
  form.elements.digest.addEventListener("change", follow);
  follow();
  startPicker(form);

  document.getElementById("try").addEventListener("click", (event) => {
    const data = fields(form);
    const stored = !fresh && !data.target && data.channel === form.dataset.channel;
    const send = () => (stored ? sendJson(path(form.dataset.id, "/test"), {}) : sendJson("/api/deliver/test", { channel: data.channel, target: data.target, language: data.language }));
    tested(event.currentTarget, document.getElementById("answer"), send);
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    wrong.hidden = true;
    for (const el of form.querySelectorAll("[aria-invalid]")) el.removeAttribute("aria-invalid");
    const data = fields(form);
    const save = form.querySelector("[type=submit]");
    save.disabled = true; // a second click sends nothing
    try {
      if (fresh) await sendJson(`/api/subscriptions${by()}`, { ...data, id: idOf(data) });
      else await sendJson(path(form.dataset.id, by()), { ...data, version: form.dataset.version }, "PUT");
      location.href = "/subscriptions";
    } catch (e) {
      save.disabled = false;
      wrong.textContent = t("failed", { why: e.message });
      wrong.hidden = false;
      const named = [...e.message.matchAll(/(?:^|: )([a-z_]\w*)(?:\.\d+)?: /g)].map((m) => (m[1] === "quiet" ? "quiet_from" : m[1]));
      const field = named.map((name) => form.querySelector(`[name="${name}"]`)).find(Boolean);
      field?.setAttribute("aria-invalid", "true");
      (field ?? save).focus();
    }
  });
  return { rows: () => [], open: () => {} };
}

/** Companies, chosen by name or ticker. */
function startPicker(form) {
  const box = document.getElementById("entities");
  const input = document.getElementById("pick");
  const picked = box.querySelector(".picked");
  const drop = (chip) => chip.querySelector("button").addEventListener("click", () => { chip.remove(); input.focus(); });
  for (const chip of picked.children) drop(chip);
  const ask = async (q) => {
    const found = await getJson("/api/keys", { q, limit: 30 }).catch(() => ({ items: [] }));
    const rows = found.items.filter((k) => k.names.kind === "entity").slice(0, 7);
    return rows.map((k) => ({ name: named(k.names), other: otherName(k.names), kind: "", value: k.key.slice("entity:".length) }));
  };
  combobox(input, document.getElementById("pick-found"), ask, (value, name) => {
    input.value = "";
    if ([...picked.children].some((chip) => chip.dataset.value === value)) return;
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.dataset.value = value;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "✕";
    button.setAttribute("aria-label", t("drop", { name }));
    chip.append(`${name} `, button);
    drop(chip);
    picked.append(chip);
  });
  form.addEventListener("keydown", (e) => { if (e.key === "Enter" && e.target === input) e.preventDefault(); }); // it picks, and saves nothing
}

/** What was sent and what was not: send again what is dead or was not wanted. */
export function startDeliveries() {
  for (const button of document.querySelectorAll("[data-retry]")) {
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await sendJson(`/api/deliveries/${encodeURIComponent(button.dataset.retry)}/retry${by()}`, {});
        location.reload();
      } catch (e) {
        button.disabled = false;
        toast(t("failed", { why: e.message }));
      }
    });
  }
  return { rows: () => [...document.querySelectorAll(".told.list li")], open: (row) => row.querySelector("a")?.click() };
}
