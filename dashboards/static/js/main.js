// Starts what the page needs. The server rendered the page; this makes it live.

import { startAlert } from "./actions.js";
import { Chart } from "./chart.js";
import { startDesk } from "./desk.js";
import { startExplain } from "./explain.js";
import { startFind } from "./find.js";
import { startKeyboard } from "./keyboard.js";
import { connect } from "./live.js";
import { startDeliveries, startSubscription, startSubscriptions } from "./people.js";
import { localise, named, say, t, toast } from "./words.js";

/** Light, dark, or as the system has it; kept in a cookie, so that the server can render it without a flash. */
function startTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme === "dark" || (root.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `windvane_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    document.dispatchEvent(new Event("windvane:theme"));
  });
}

function tellOfAlerts(a) {
  if (a.event !== "fired") return;
  const sentence = t("new_alert", { name: named(a.names) });
  toast(sentence, `/alerts/${a.alert_id}`);
  say(sentence);
}

const PAGES = {
  desk: startDesk,
  alert: () => { connect({ alert: tellOfAlerts }); return startAlert(new Chart(document.getElementById("chart"))); },
  search: () => {
    connect({ alert: tellOfAlerts });
    startExplain(document.getElementById("results"), document.querySelector("#filters [name=key]")?.value);
    return { rows: () => [...document.querySelectorAll(".result")], open: (row) => row.querySelector(".headline a, .meta a")?.click() };
  },
  subscriptions: () => { connect({ alert: tellOfAlerts }); return startSubscriptions(); },
  subscription: () => { connect({ alert: tellOfAlerts }); return startSubscription(); },
  deliveries: () => { connect({ alert: tellOfAlerts }); return startDeliveries(); },
  act: () => ({ rows: () => [], open: () => {} }),
  gone: () => { connect({ alert: tellOfAlerts }); return { rows: () => [], open: () => {} }; },
};

localise();
startTheme();
startFind();
startKeyboard(PAGES[document.body.dataset.page]());
document.documentElement.dataset.ready = "yes";
