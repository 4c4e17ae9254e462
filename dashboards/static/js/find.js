// The search box of the bar: names and tickers as they are typed; Enter searches all texts.

import { getJson, named, otherName, t } from "./words.js";

export function startFind() {
  const input = document.getElementById("find");
  const list = document.getElementById("found-keys");
  let chosen = -1, asked = 0, timer = 0;

  const close = () => { list.hidden = true; chosen = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const items = () => [...list.children];

  async function suggest() {
    const q = input.value.trim();
    const mine = ++asked;
    if (!q) return close();
    const found = await getJson("/api/keys", { q, limit: 7 }).catch(() => ({ items: [] }));
    if (mine !== asked || document.activeElement !== input) return undefined;
    const rows = found.items.map((k) => row(named(k.names), otherName(k.names), t(`key.${k.names.kind}`), `/key/${encodeURIComponent(k.key)}`));
    rows.push(row(t("search_all", { q }), "", "", `/search?${new URLSearchParams({ q })}`));
    rows.forEach((r, i) => { r.id = `found-${i}`; });
    list.replaceChildren(...rows);
    list.hidden = false;
    chosen = -1;
    input.setAttribute("aria-expanded", "true");
    return undefined;
  }

  function row(name, other, kind, href) {
    const li = document.createElement("li");
    li.role = "option";
    li.dataset.href = href;
    for (const [text, cls] of [[name, "name"], [other, "quiet"], [kind, "kind"]]) {
      const span = document.createElement("span");
      span.className = cls;
      span.textContent = text;
      li.append(span);
    }
    li.addEventListener("mousedown", (e) => { e.preventDefault(); location.href = href; });
    return li;
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(suggest, 120); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (e) => {
    if (list.hidden) return;
    const all = items();
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      chosen = (chosen + (e.key === "ArrowDown" ? 1 : -1) + all.length + 1) % (all.length + 1);
      if (chosen === all.length) chosen = -1;
      all.forEach((li, i) => li.setAttribute("aria-selected", String(i === chosen)));
      if (chosen >= 0) input.setAttribute("aria-activedescendant", all[chosen].id);
    } else if (e.key === "Enter" && chosen >= 0) {
      e.preventDefault();
      location.href = all[chosen].dataset.href;
    } else if (e.key === "Escape") close();
  });
}
