// Line charts with ECharts, of which only what is used is bundled. Colours come from the style sheet's tokens.
import { LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { brushing } from "./brush.js";
import { leading } from "./points.js";
import { readout } from "./readout.js";
import { duration } from "./units.js";

echarts.use([LineChart, AriaComponent, GridComponent, TooltipComponent, CanvasRenderer]);

/** Pixels under the lowest name, and between two of them. */
const FOOT = 26;
const APART = 14;

const shown = new Map();

/** Draws or updates the chart whose data `place` holds; the element that data-for names gets the canvas. */
export function show(place) {
  const element = document.getElementById(place.dataset.for);
  if (!element) return;
  const chart = shown.get(element) ?? make(element);
  chart.data = JSON.parse(place.dataset.chart);
  paint(chart);
}

function make(element) {
  const chart = { view: echarts.init(element, null, { renderer: "canvas" }), element, data: null };
  new ResizeObserver(() => (chart.view.resize(), chart.data && paint(chart))).observe(element);
  document.addEventListener("watchglass:theme", () => chart.data && paint(chart));
  brushing(chart);
  leading(chart);
  pointing(chart);
  shown.set(element, chart);
  return chart;
}

// Pointing at a name below the chart brings its line forward.
function pointing({ view, element }) {
  const card = element.closest("[data-body]");
  for (const [event, type] of [["pointerover", "highlight"], ["pointerout", "downplay"]]) {
    card.addEventListener(event, ({ target }) => {
      const line = target.closest("[data-line]");
      if (line) view.dispatchAction({ type, seriesId: line.dataset.line });
    });
  }
}

// Lines are merged by id: what stays is moved, nothing is drawn anew, no flicker.
function paint({ view, element, data }) {
  const ink = inks(element);
  const narrow = element.clientWidth < 520;
  const series = data.lines.map((line) => lineOf(line, ink, data.ends && !narrow));
  view.setOption({ ...frame(data, ink, narrow), series }, { replaceMerge: ["series"] });
  view.setOption({ series: apart(view, data.lines) });
}

// Names at the ends of lines that lie close are moved apart, none out of the chart.
function apart(view, lines) {
  const ends = lines.flatMap(({ id, values }) => {
    const last = values.findLast((point) => point[1] !== null);
    return last ? [{ id, y: view.convertToPixel({ yAxisIndex: 0 }, last[1]) }] : [];
  });
  ends.sort((a, b) => b.y - a.y);
  let free = view.getHeight() - FOOT;
  return ends.map(({ id, y }) => {
    const at = Math.min(y, free);
    free = at - APART;
    return { id, endLabel: { offset: [0, at - y] } };
  });
}

function frame(data, ink, narrow) {
  const quiet = { color: ink.muted, fontSize: 12, fontFamily: ink.font };
  return {
    animation: false,
    aria: { enabled: true, label: { description: data.description } },
    textStyle: { fontFamily: ink.font },
    grid: { left: 52, right: data.ends && !narrow ? 52 : 18, top: 10, bottom: 24, outerBoundsMode: "none" },
    xAxis: {
      type: "time",
      min: data.start,
      max: data.end,
      axisLine: { lineStyle: { color: ink.line } },
      axisTick: { show: false },
      axisLabel: { ...quiet, hideOverlap: true, formatter: tick },
      splitLine: { show: false },
    },
    yAxis: {
      type: "value",
      min: 0,
      splitNumber: 4,
      axisLabel: { ...quiet, formatter: duration },
      splitLine: { lineStyle: { color: ink.line } },
    },
    tooltip: {
      trigger: "axis",
      confine: true,
      transitionDuration: 0,
      backgroundColor: "transparent",
      borderWidth: 0,
      padding: 0,
      extraCssText: "box-shadow: none;",
      axisPointer: { lineStyle: { color: ink.muted, type: "solid" } },
      formatter: (points) => readout(points, data),
    },
  };
}

// Midnight is a date, everything else a time of the day.
function tick(value) {
  const time = new Date(value);
  const midnight = time.getHours() === 0 && time.getMinutes() === 0;
  return (midnight ? DAY : CLOCK).format(time);
}

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const LOOKS = {
  main: { ink: "ink", width: 2, type: "solid", z: 4 },
  low: { ink: "faint", width: 1.5, type: "solid", z: 2 },
  high: { ink: "muted", width: 1.5, type: [3, 3], z: 3 },
  a: { ink: "ink", width: 1.75, type: "solid", z: 4 },
  b: { ink: "muted", width: 1.75, type: "solid", z: 3 },
  c: { ink: "ink", width: 1.5, type: [8, 4], z: 3 },
  d: { ink: "muted", width: 1.5, type: [4, 3], z: 2 },
  e: { ink: "faint", width: 1.75, type: [1.5, 3], z: 2 },
};

function lineOf(line, ink, named) {
  const look = LOOKS[line.role];
  const colour = ink[look.ink];
  return {
    id: line.id,
    name: line.name,
    type: "line",
    z: look.z,
    data: line.values.map((value, at) => dot(line.values, at)),
    showSymbol: true,
    lineStyle: { width: look.width, type: look.type, color: colour },
    itemStyle: { color: colour },
    emphasis: { focus: "series", lineStyle: { width: look.width + 0.5 } },
    triggerLineEvent: true,
    endLabel: {
      show: named,
      formatter: line.name,
      color: colour,
      fontFamily: ink.font,
      fontSize: 12,
      distance: 6,
      backgroundColor: ink.card,
    },
  };
}

// A line shows no points, but for one that stands alone between gaps: no line would show it.
function dot(values, at) {
  const alone = !defined(values[at - 1]) && !defined(values[at + 1]);
  return { value: values[at], symbol: alone ? "circle" : "none", symbolSize: 4 };
}

const defined = (point) => point !== undefined && point[1] !== null;

// Tokens are resolved by the browser (light-dark() and all): a colour is read where it is used.
function inks(element) {
  const probe = document.createElement("i");
  element.append(probe);
  const read = (token) => {
    probe.style.color = `var(--${token})`;
    return getComputedStyle(probe).color;
  };
  const ink = { ink: read("ink"), muted: read("muted"), faint: read("trace"), line: read("grid"), card: read("card") };
  ink.font = getComputedStyle(probe).fontFamily;
  probe.remove();
  return ink;
}
