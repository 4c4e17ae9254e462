// The search box of the bar: names and tickers as they are typed; Enter searches all texts.

import { combobox } from "./combobox.js";
import { getJson, named, otherName, t } from "./words.js";

export function startFind() {
  const ask = async (q) => {
    const found = await getJson("/api/keys", { q, limit: 7 }).catch(() => ({ items: [] }));
    const keys = found.items.map((k) => ({ name: named(k.names), other: otherName(k.names), kind: t(`key.${k.names.kind}`), value: `/key/${encodeURIComponent(k.key)}` }));
    return [...keys, { name: t("search_all", { q }), other: "", kind: "", value: `/search?${new URLSearchParams({ q })}` }];
  };
  combobox(document.getElementById("find"), document.getElementById("found-keys"), ask, (href) => { location.href = href; });
}
