// A text field with suggestions: arrows choose, Enter takes, Escape closes.

/** `ask(q)` gives rows {name, other, kind, value}; `take(value)` is called with the one that was chosen. Without a
 * choice Enter does what the field's form does. */
export function combobox(input, list, ask, take) {
  let chosen = -1, asked = 0, timer = 0;

  const close = () => { list.hidden = true; chosen = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };

  async function suggest() {
    const q = input.value.trim();
    const mine = ++asked;
    if (!q) return close();
    const found = await ask(q);
    if (mine !== asked || document.activeElement !== input) return undefined;
    list.replaceChildren(...found.map(row));
    list.hidden = found.length === 0;
    chosen = -1;
    input.setAttribute("aria-expanded", String(!list.hidden));
    return undefined;
  }

  function row({ name, other, kind, value }, i) {
    const li = document.createElement("li");
    li.role = "option";
    li.id = `${list.id}-${i}`;
    for (const [text, cls] of [[name, "name"], [other, "quiet"], [kind, "kind"]]) {
      const span = document.createElement("span");
      span.className = cls;
      span.textContent = text;
      li.append(span);
    }
    li.choose = () => { close(); take(value, name); };
    li.addEventListener("mousedown", (e) => { e.preventDefault(); li.choose(); });
    return li;
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(suggest, 120); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (e) => {
    if (list.hidden) return;
    const all = [...list.children];
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      chosen = (chosen + (e.key === "ArrowDown" ? 1 : -1) + all.length + 1) % (all.length + 1);
      if (chosen === all.length) chosen = -1;
      all.forEach((li, i) => li.setAttribute("aria-selected", String(i === chosen)));
      if (chosen >= 0) input.setAttribute("aria-activedescendant", all[chosen].id);
    } else if (e.key === "Enter" && chosen >= 0) {
      e.preventDefault();
      all[chosen].choose();
    } else if (e.key === "Escape") close();
  });
}
