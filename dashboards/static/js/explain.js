// "Why?" on a scored text: the words that moved the model, fetched when it is asked for.

import { getJson, percent, setShape, t } from "./words.js";

const LEAST = 0.1; // of the largest weight: a word under it is not marked

/** Listen on a list whose rows have data-id and a [data-why] button; `key`: what the texts are looked at under. */
export function startExplain(list, key = "") {
  list?.addEventListener("click", async (e) => {
    const button = e.target.closest("[data-why]");
    if (!button) return;
    const row = button.closest("[data-id]");
    const held = row.querySelector(".explained");
    if (held) {
      held.hidden = !held.hidden;
      button.setAttribute("aria-expanded", String(!held.hidden));
      return;
    }
    row.querySelector(".why-failed")?.remove();
    const box = document.createElement("div");
    box.className = "explained";
    box.role = "status";
    box.textContent = t("why_wait");
    row.append(box);
    button.setAttribute("aria-expanded", "true");
    try {
      fill(box, await getJson("/api/explain", { id: row.dataset.id, key }));
    } catch (error) {
      box.remove(); // so that the next click asks again
      button.setAttribute("aria-expanded", "false");
      row.append(Object.assign(document.createElement("p"), { className: "warn why-failed", textContent: t("failed", { why: error.message }) }));
    }
  });
}

function fill(box, found) {
  const points = [...found.text]; // places are code points, not UTF-16 units
  const slice = (start, end) => points.slice(start, end).join("");
  box.replaceChildren(lead(found, slice), words(found, slice), notes(found));
}

function lead(found, slice) {
  const p = document.createElement("p");
  const shape = document.createElement("span");
  setShape(shape, found.answer);
  const said = { answer: t(found.answer), p: percent(found.p), empty: percent(found.p_empty) };
  const sentence = found.entity ? t("why_towards", { ...said, name: slice(...found.entity) }) : t("why_lead", said);
  p.append(shape, ` ${sentence}`);
  return p;
}

/** The text, its weighty words marked: background for the answer, dots under what speaks against it. */
function words(found, slice) {
  const p = document.createElement("p");
  p.className = "marked";
  const most = Math.max(...found.words.map((w) => Math.abs(w.weight)), 1e-9);
  let at = 0;
  for (const w of found.words) {
    const share = Math.abs(w.weight) / most;
    if (share < LEAST) continue;
    const mark = document.createElement("mark");
    mark.className = w.weight > 0 ? `for ${found.answer} s${Math.ceil(3 * share)}` : "against";
    mark.title = t("why_word", { weight: signed(w.weight), p: percent(w.without) });
    mark.textContent = slice(w.start, w.end);
    p.append(slice(at, w.start), mark);
    at = w.end;
  }
  p.append(slice(at));
  return p;
}

function notes(found) {
  const p = document.createElement("p");
  p.className = "quiet";
  const said = [t("why_legend")];
  if (found.basis === "text") said.push(t("why_basis"));
  if (found.joined) said.push(t("why_long"));
  if (found.read_to < [...found.text].length) said.push(t("why_cut"));
  const model = document.createElement("code");
  model.textContent = found.model_version;
  p.append(`${said.join(" ")} `, model);
  return p;
}

const signed = (weight) => `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`;
