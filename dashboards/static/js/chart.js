// The two charts of a key: the share of negatives with its usual band, and the texts per bin. One readout for both.

import uPlot from "../vendor/uPlot.esm.min.js";
import { clock, day, duration, getJson, num, percent, t, when } from "./words.js";

const HEIGHTS = { share: 204, volume: 140 };
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Chart {
  constructor(figure) {
    this.figure = figure;
    this.boxes = { share: figure.querySelector("#plot-share"), volume: figure.querySelector("#plot-volume") };
    this.readout = figure.querySelector("#readout");
    this.note = figure.querySelector("#chart-note");
    this.plots = [];
    this.series = null;
    this.asked = 0;
    new ResizeObserver(() => this.resize()).observe(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.boxes.volume.addEventListener("click", () => this.openTexts());
  }

  /** Load and draw a span; throws nothing: errors are shown in place. A later call wins. */
  async show(key, start, end) {
    const asked = ++this.asked;
    try {
      const series = await getJson("/api/series", { key, start, end });
      if (asked !== this.asked) return null;
      this.series = series;
      this.figure.dataset.state = "ready";
      this.draw();
      return series;
    } catch (e) {
      if (asked !== this.asked) return null;
      this.figure.dataset.state = "error";
      this.readout.textContent = t("chart_error", { why: e.message });
      return null;
    }
  }

  draw() {
    if (!this.series) return;
    const { columns: c, step_s: step } = this.series;
    const x = c.t.map((at) => at + step / 2);
    const hovered = this.plots[0]?.cursor.idx ?? null;
    for (const plot of this.plots) plot.destroy();
    this.sync = uPlot.sync(`windvane-${Math.random()}`);
    this.plots = [
      new uPlot(this.shareOptions(), [x, c.usual_share_low, c.usual_share_high, c.share], this.boxes.share),
      new uPlot(this.volumeOptions(), [
        x, c.total, c.negative.map((n, i) => n + c.neutral[i] + c.unsure[i]), c.negative,
      ], this.boxes.volume),
    ];
    const banded = c.usual_share_low.some((v) => v != null);
    const some = c.total.some((v) => v > 0);
    this.note.hidden = some && banded && c.share.some((v) => v != null);
    this.note.textContent = !some ? t("no_texts") : !c.share.some((v) => v != null) ? t("too_few") : t("no_usual");
    this.note.classList.toggle("low", some && !banded);
    this.figure.querySelector("#share-caption").textContent = t("share_over", { window: duration(this.series.window_s) });
    this.figure.querySelector("#band-legend").hidden = !banded;
    this.read(hovered);
    for (const [name, box] of Object.entries(this.boxes)) box.setAttribute("aria-label", `${t(name)}: ${this.readout.textContent}`);
  }

  resize() {
    for (const plot of this.plots) {
      const width = plot.root.parentElement.clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  }

  shareOptions() {
    const top = Math.max(0.2, ...this.series.columns.share.map((v) => v ?? 0), ...this.series.columns.usual_share_high.map((v) => v ?? 0));
    return this.options("share", {
      scales: { x: this.xScale(), y: { range: [0, Math.min(1.03, top * 1.18)] } },
      axes: [this.xAxis(true), this.yAxis((v) => percent(v))],
      series: [
        {},
        { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true },
        { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true },
        { stroke: css("--negative-fill"), width: 2, points: { show: false }, spanGaps: true },
      ],
      bands: [{ series: [2, 1], fill: css("--band") }],
    });
  }

  volumeOptions() {
    const bars = uPlot.paths.bars({ size: [0.78, 40], align: 0, radius: 0 });
    const of = (fill) => ({ stroke: fill, fill, width: 0, paths: bars, points: { show: false } });
    return this.options("volume", {
      scales: { x: this.xScale(), y: { range: (_u, _min, max) => [0, Math.max(4, Math.ceil(max * 1.08))] } },
      axes: [this.xAxis(false), this.yAxis((v) => (Number.isInteger(v) ? num(v) : ""))],
      series: [{}, of(css("--positive-fill")), of(css("--neutral-fill")), of(css("--negative-fill"))],
    });
  }

  options(name, more) {
    return {
      width: this.boxes[name].clientWidth || 600,
      height: HEIGHTS[name],
      padding: [14, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: this.sync.key }, drag: { x: false, y: false }, y: false, points: { show: name === "share", size: 7 } },
      hooks: {
        drawClear: [(u) => this.shadeEpisodes(u)],
        draw: [(u) => this.markAlerts(u, name)],
        setCursor: [(u) => this.read(u.cursor.idx)],
      },
      ...more,
    };
  }

  xScale() {
    const { t: at } = this.series.columns;
    return { time: true, range: [at[0], at.at(-1) + this.series.step_s] };
  }

  xAxis(labels) {
    const font = `12px ${css("--font")}`;
    return {
      font, stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, size: labels ? 6 : 28,
      values: labels ? (_u, splits) => splits.map(() => "") : (_u, splits, _a, _s, step) => timeLabels(splits, step),
      space: 64,
    };
  }

  yAxis(format) {
    return {
      font: `12px ${css("--font")}`, stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, size: 46, gap: 4, space: 36,
      values: (_u, splits) => splits.map(format),
    };
  }

  shadeEpisodes(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = css("--negative-soft");
    for (const alert of this.series.alerts) {
      const from = Math.max(u.valToPos(Date.parse(alert.start) / 1000, "x", true), bbox.left);
      const end = alert.end ? Date.parse(alert.end) / 1000 : this.series.columns.t.at(-1) + this.series.step_s;
      const to = Math.min(u.valToPos(end, "x", true), bbox.left + bbox.width);
      if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.restore();
  }

  markAlerts(u, name) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = css("--negative");
    ctx.lineWidth = ratio;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.font = `${12 * ratio}px ${css("--font")}`;
    for (const alert of this.series.alerts) {
      const x = Math.round(u.valToPos(Date.parse(alert.fired_at) / 1000, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (name !== "share") continue;
      const label = `▼ ${t("alert_mark")} ${clock(new Date(alert.fired_at))}`;
      const fits = x + ctx.measureText(label).width + 8 * ratio < bbox.left + bbox.width;
      ctx.textAlign = fits ? "left" : "right";
      ctx.fillText(label, x + (fits ? 5 : -5) * ratio, bbox.top - 3 * ratio);
    }
    ctx.restore();
  }

  /** The readout for a position; without one, for the newest window. */
  read(index) {
    const c = this.series.columns;
    this.at = index;
    const i = index ?? c.t.length - 1;
    const to = c.t[i] + this.series.step_s;
    const from = to - this.series.window_s;
    const k = c.window_negative[i], n = c.window_total[i];
    const span = document.createElement("span");
    span.className = "quiet";
    span.textContent = ` · ${t("window", { a: when(new Date(from * 1000)), b: clock(new Date(to * 1000)) })}`;
    const link = document.createElement("a");
    link.href = this.textsHref(from, to);
    link.title = t("open_texts");
    link.textContent = n ? t("readout", { k: num(k), n: num(n), p: percent(k / n) }) : t("readout_none");
    const usual = c.usual_low[i] == null ? "" : t("readout_usual", { low: num(Math.floor(c.usual_low[i])), high: num(Math.ceil(c.usual_high[i])) });
    this.readout.replaceChildren(link, usual, span);
  }

  textsHref(from, to) {
    const query = { start: new Date(from * 1000).toISOString(), end: new Date(to * 1000).toISOString() };
    if (this.series.key !== "all") query.key = this.series.key;
    return `/search?${new URLSearchParams(query)}`;
  }

  openTexts() {
    if (this.at == null) return;
    const from = this.series.columns.t[this.at];
    location.href = this.textsHref(from, from + this.series.step_s);
  }
}

function timeLabels(splits, step) {
  let last = "";
  return splits.map((s) => {
    const at = new Date(s * 1000);
    const today = day(at);
    const label = step >= 86400 ? today : today === last || (last === "" && at.getHours() + at.getMinutes() > 0) ? clock(at) : today;
    last = today;
    return label;
  });
}
