// Keys for those who live here: / j k Enter a s n ?. Never while typing, never with a modifier.

/** `page`: {rows(), select?(row), open(row), act?(what), showNew?()}; missing verbs do nothing. */
export function startKeyboard(page) {
  const help = document.getElementById("help");
  document.getElementById("help-button").addEventListener("click", () => help.showModal());
  let current = null;

  const move = (by) => {
    const rows = page.rows();
    if (!rows.length) return;
    const at = rows.findIndex((r) => r === current || (!current?.isConnected && r.classList.contains("selected")));
    const row = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
    current = row;
    if (page.select) page.select(row);
    else for (const r of rows) r.classList.toggle("selected", r === row);
    row.scrollIntoView({ block: "nearest" });
  };

  const keys = {
    "/": () => document.getElementById("find").focus(),
    "?": () => help.showModal(),
    j: () => move(1),
    k: () => move(-1),
    n: () => page.showNew?.(),
    a: () => page.act?.("ack"),
    s: () => page.act?.("snooze"),
    Enter: () => {
      const row = page.rows().find((r) => r.classList.contains("selected"));
      if (row) page.open(row);
    },
  };

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || help.open) return;
    const typing = e.target.closest("input, select, textarea, [contenteditable]");
    if (typing) {
      if (e.key === "Escape") typing.blur();
      return;
    }
    // a closed dialog's button can still be the target for a moment after Escape
    if (e.key === "Enter" && e.target.closest("a, button") && !help.contains(e.target)) return;
    if (Object.hasOwn(keys, e.key)) {
      e.preventDefault();
      keys[e.key]();
    }
  });
}
