
"use strict";
(() => {
  const told = JSON.parse(document.getElementById("data").textContent);
  const charts = told.charts;
  const byId = (id) => document.getElementById(id);

  // ---- Numbers and times -------------------------------------------------------------------------------------------

  /** The way back from packed integers: base64, seven bits to a byte, zigzag differences. */
  function unpack(text) {
    const raw = atob(text);
    const values = [];
    let value = 0;
    for (let at = 0; at < raw.length;) {
      let part = 0, weight = 1, byte;
      do {
        byte = raw.charCodeAt(at++);
        part += (byte & 127) * weight;
        weight *= 128;
      } while (byte > 127);
      value += part % 2 ? -(part + 1) / 2 : part / 2;
      values.push(value);
    }
    return Float64Array.from(values);
  }

  const two = (number) => String(number).padStart(2, "0");

  function moment(ms) {
    const at = new Date(ms);
    const text = at.toISOString();
    return text.slice(0, 10) + " " + text.slice(11, at.getUTCSeconds() ? 19 : 16);
  }

  function span(ms) {
    const minutes = Math.round(ms / 60000);
    if (ms < 120000) return Math.round(ms / 1000) + " s";
    if (minutes < 60) return minutes + " min";
    if (minutes < 2880) return Math.floor(minutes / 60) + " h" + (minutes % 60 ? " " + (minutes % 60) + " min" : "");
    return (minutes / 1440).toFixed(1) + " days";
  }

  /** 1234567.5 as 1,234,567.50; the same in every browser and country. */
  function grouped(text) {
    const [whole, fraction] = String(text).split(".");
    return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",") + (fraction === undefined ? "" : "." + fraction);
  }
  const fixed = (value, places) => grouped(value.toFixed(places));
  const percent = (value, places = 2) => fixed(value * 100, places) + " %";

  /** The first place in ascending `values` that is not below `value`. */
  function firstAtLeast(values, value) {
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < value) low = middle + 1; else high = middle;
    }
    return low;
  }

  // ---- Series ------------------------------------------------------------------------------------------------------

  const divided = (text, unit) => unpack(text).map((value) => value / unit);
  const curve = {
    time: unpack(charts.curve.time),
    equity: divided(charts.curve.equity, 100),
    low: divided(charts.curve.low, 100),
    high: divided(charts.curve.high, 100),
    hold: divided(charts.curve.hold, 100),
    drawdown: divided(charts.curve.drawdown, 1e6),
    exposure: divided(charts.curve.exposure, 1e6),
  };
  const unpacked = new Map();

  /** A symbol's candles and marks, unpacked when first looked at. */
  function priceOf(symbol) {
    if (!unpacked.has(symbol)) {
      const packed = charts.prices.find((one) => one.symbol === symbol);
      const unit = 10 ** packed.scale;
      const marks = (side) => ({
        time: unpack(packed.marks[side].time),
        price: divided(packed.marks[side].price, unit),
        count: unpack(packed.marks[side].count),
      });
      unpacked.set(symbol, {
        ...packed,
        time: unpack(packed.time),
        open: divided(packed.open, unit),
        high: divided(packed.high, unit),
        low: divided(packed.low, unit),
        close: divided(packed.close, unit),
        buys: marks("buys"),
        sells: marks("sells"),
      });
    }
    return unpacked.get(symbol);
  }

  // ---- What is looked at -------------------------------------------------------------------------------------------

  const whole = charts.end - charts.start;
  const shortest = Math.min(whole, 20 * Math.min(...charts.prices.map((price) => price.width)));
  const view = { from: 0, to: whole, cross: null, drag: null };
  let chosen = charts.prices[0].symbol;

  function look(from, to) {
    const width = Math.min(whole, Math.max(shortest, to - from));
    const middle = (from + to) / 2;
    view.from = Math.max(0, Math.min(whole - width, middle - width / 2));
    view.to = view.from + width;
    draw();
  }

  function move(where) {
    const width = view.to - view.from;
    const middle = view.cross === null ? (view.from + view.to) / 2 : view.cross;
    if (where === "left") look(view.from - width / 4, view.to - width / 4);
    else if (where === "right") look(view.from + width / 4, view.to + width / 4);
    else if (where === "in") look(middle - (middle - view.from) / 2, middle + (view.to - middle) / 2);
    else if (where === "out") look(view.from - width / 2, view.to + width / 2);
    else look(0, whole);
  }

  // ---- Drawing -----------------------------------------------------------------------------------------------------

  const RIGHT = 84, BOTTOM = 22, TOP = 10;
  let colours = {};

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    colours = {};
    for (const name of ["back", "line", "text", "muted", "equity", "hold", "drawdown", "buy", "sell", "candle", "accent"]) {
      colours[name] = style.getPropertyValue("--" + name).trim();
    }
  }

  /** A canvas ready to draw on, in CSS pixels. */
  function sheet(id) {
    const canvas = byId(id);
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
    const inner = width - RIGHT;
    return { pen, width, height, inner, x: (ms) => ((ms - view.from) / (view.to - view.from)) * inner };
  }

  /** Round steps between two values, about so many. */
  function steps(low, high, about) {
    const rough = (high - low) / about;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= rough * 0.999) * power;
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
    return { found, places: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (String(step / power) === "2.5" ? 1 : 0)) };
  }

  const MINUTE = 60000, HOUR = 3600000, DAY = 86400000;
  const TIME_STEPS = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  /** Moments to name on the axis, with their names. */
  function timeTicks(inner) {
    const rough = (view.to - view.from) / Math.max(2, inner / 90);
    const from = charts.start + view.from, to = charts.start + view.to;
    const found = [];
    const step = TIME_STEPS.find((one) => one >= rough);
    if (step !== undefined) {
      for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
        const day = new Date(at);
        const isMidnight = at % DAY === 0;
        found.push([at, step < DAY && !isMidnight ? two(day.getUTCHours()) + ":" + two(day.getUTCMinutes()) : day.getUTCDate() + " " + MONTHS[day.getUTCMonth()]]);
      }
      return found;
    }
    const months = [1, 2, 3, 6, 12, 24, 60, 120].find((one) => one * 30 * DAY >= rough) || 120;
    const first = new Date(from);
    let month = first.getUTCFullYear() * 12 + first.getUTCMonth();
    month = Math.ceil(month / months) * months;
    for (; ; month += months) {
      const at = Date.UTC(Math.floor(month / 12), month % 12, 1);
      if (at > to) return found;
      if (at >= from) found.push([at, month % 12 === 0 ? String(month / 12) : MONTHS[month % 12] + (months > 1 ? " " + Math.floor(month / 12) : "")]);
    }
  }

  /** Grid and names of both axes; the scale of values. */
  function frame(paper, low, high, name) {
    const { pen, inner, height } = paper;
    const tall = height - TOP - BOTTOM;
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * tall;
    const ticks = steps(low, high, Math.max(2, tall / 48));
    pen.lineWidth = 1;
    pen.strokeStyle = colours.line;
    pen.fillStyle = colours.muted;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (const value of ticks.found) {
      const at = Math.round(y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(0, at);
      pen.lineTo(inner, at);
      pen.stroke();
      pen.fillText(name(value, ticks.places), inner + 8, at);
    }
    pen.textBaseline = "alphabetic";
    pen.textAlign = "center";
    for (const [at, text] of timeTicks(inner)) {
      const x = Math.round(paper.x(at - charts.start)) + 0.5;
      pen.globalAlpha = 0.55;
      pen.beginPath();
      pen.moveTo(x, TOP);
      pen.lineTo(x, height - BOTTOM);
      pen.stroke();
      pen.globalAlpha = 1;
      const half = pen.measureText(text).width / 2;
      if (x - half >= 0 && x + half <= inner + 8) pen.fillText(text, x, height - 6);
    }
    return y;
  }

  /** Places of a series that the view shows, with one more on either side. */
  function visible(time) {
    return [Math.max(0, firstAtLeast(time, view.from) - 1), Math.min(time.length, firstAtLeast(time, view.to) + 2)];
  }

  /** A line; where many points share a pixel, all that they reached. */
  function line(paper, time, values, y, colour, width, low = values, high = values) {
    const { pen, x } = paper;
    const [first, last] = visible(time);
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.beginPath();
    let column = NaN, bottom = 0, top = 0;
    for (let at = first; at < last; at++) {
      const right = x(time[at]);
      const pixel = Math.round(right);
      if (pixel === column) {
        bottom = Math.min(bottom, low[at]);
        top = Math.max(top, high[at]);
        if (at + 1 < last && Math.round(x(time[at + 1])) === column) continue;
        pen.lineTo(right, y(bottom));
        pen.lineTo(right, y(top));
      } else {
        column = pixel;
        bottom = low[at];
        top = high[at];
      }
      if (at === first) pen.moveTo(right, y(values[at])); else pen.lineTo(right, y(values[at]));
    }
    pen.stroke();
  }

  function clip(paper) {
    paper.pen.save();
    paper.pen.beginPath();
    paper.pen.rect(0, 0, paper.inner, paper.height - BOTTOM + 1);
    paper.pen.clip();
  }

  /** Lowest and highest of several series in view, with some air. */
  function extent(time, lows, highs) {
    const [first, last] = visible(time);
    let low = Infinity, high = -Infinity;
    for (let at = first; at < last; at++) {
      for (const values of lows) low = Math.min(low, values[at]);
      for (const values of highs) high = Math.max(high, values[at]);
    }
    if (!(high >= low)) return [0, 1];
    const air = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1;
    return [low - air, high + air];
  }

  /** The highest of a series in view. */
  function reached(time, values) {
    const [first, last] = visible(time);
    let high = -Infinity;
    for (let at = first; at < last; at++) high = Math.max(high, values[at]);
    return high;
  }

  function drawEquity() {
    const paper = sheet("equity");
    const compared = byId("compare").checked;
    const [low, high] = compared ? extent(curve.time, [curve.low, curve.hold], [curve.high, curve.hold]) : extent(curve.time, [curve.low], [curve.high]);
    const y = frame(paper, low, high, fixed);
    clip(paper);
    if (compared) line(paper, curve.time, curve.hold, y, colours.hold, 1.25);
    line(paper, curve.time, curve.equity, y, colours.equity, 1.75, curve.low, curve.high);
    paper.pen.restore();
    cross(paper);
    const at = placeAt(curve.time);
    const now = curve.equity[at], held = curve.hold[at];
    byId("equity-at").textContent = `${moment(charts.start + curve.time[at])}   equity ${fixed(now, 2)}   buy and hold ${fixed(held, 2)} ${charts.quote}   in positions ${percent(curve.exposure[at], 0)}`;
  }

  function drawDrawdown() {
    const paper = sheet("drawdown");
    // Where nothing fell there is still an axis: down to one percent.
    const deepest = reached(curve.time, curve.drawdown) * 1.06 || 0.01;
    const below = curve.drawdown.map((value) => -value);
    const y = frame(paper, -deepest, 0, (value, places) => fixed(value === 0 ? 0 : value * 100, Math.max(0, places - 2)) + " %");
    clip(paper);
    const { pen, x } = paper;
    const [first, last] = visible(curve.time);
    pen.fillStyle = colours.drawdown;
    pen.globalAlpha = 0.22;
    pen.beginPath();
    pen.moveTo(x(curve.time[first]), y(0));
    for (let at = first; at < last; at++) pen.lineTo(x(curve.time[at]), y(below[at]));
    pen.lineTo(x(curve.time[last - 1]), y(0));
    pen.fill();
    pen.globalAlpha = 1;
    line(paper, curve.time, below, y, colours.drawdown, 1.25);
    pen.restore();
    cross(paper);
    const at = placeAt(curve.time);
    byId("drawdown-at").textContent = `${moment(charts.start + curve.time[at])}   ${percent(curve.drawdown[at])} below the peak`;
  }

  function drawPrice() {
    const paper = sheet("price");
    const price = priceOf(chosen);
    const [low, high] = extent(price.time, [price.low], [price.high]);
    const y = frame(paper, low, high, fixed);
    const { pen, x, inner } = paper;
    const middle = price.width / 2;
    const [first, last] = visible(price.time);
    const each = (price.width / (view.to - view.from)) * inner;
    clip(paper);
    pen.strokeStyle = pen.fillStyle = colours.candle;
    pen.lineWidth = 1;
    if (each >= 3) {
      const body = Math.max(1, Math.min(14, each * 0.64));
      for (let at = first; at < last; at++) {
        const centre = x(price.time[at] + middle);
        const rose = price.close[at] >= price.open[at];
        const top = y(Math.max(price.open[at], price.close[at])), bottom = y(Math.min(price.open[at], price.close[at]));
        pen.beginPath();
        pen.moveTo(centre, y(price.high[at]));
        pen.lineTo(centre, y(price.low[at]));
        pen.stroke();
        if (rose) {
          pen.fillStyle = colours.back;
          pen.fillRect(centre - body / 2, top, body, Math.max(1, bottom - top));
          pen.strokeRect(centre - body / 2, top, body, Math.max(1, bottom - top));
        } else {
          pen.fillStyle = colours.candle;
          pen.fillRect(centre - body / 2, top, body, Math.max(1, bottom - top));
        }
      }
    } else {
      const ends = price.time.map((time) => time + price.width);
      line(paper, ends, price.close, y, colours.candle, 1, price.low, price.high);
    }
    const shown = marksIn(price.buys) + marksIn(price.sells);
    const size = shown > 1500 ? 2 : shown > 400 ? 3.5 : shown > 120 ? 5 : 7;
    marks(paper, y, price.buys, colours.buy, size, 1);
    marks(paper, y, price.sells, colours.sell, size, -1);
    pen.restore();
    cross(paper);
    tellPrice(price);
  }

  function marksIn(fills) { return firstAtLeast(fills.time, view.to) - firstAtLeast(fills.time, view.from); }

  /** Triangles that point at the price: from below where it bought, from above where it sold. */
  function marks(paper, y, fills, colour, size, side) {
    const { pen, x } = paper;
    pen.fillStyle = colour;
    pen.strokeStyle = colours.back;
    pen.lineWidth = 1;
    const last = firstAtLeast(fills.time, view.to + 1);
    for (let at = firstAtLeast(fills.time, view.from); at < last; at++) {
      const centre = x(fills.time[at]), tip = y(fills.price[at]) + side;
      pen.beginPath();
      pen.moveTo(centre, tip);
      pen.lineTo(centre - size, tip + side * size * 1.7);
      pen.lineTo(centre + size, tip + side * size * 1.7);
      pen.closePath();
      pen.fill();
      if (size > 2) pen.stroke();
    }
  }

  function tellPrice(price) {
    const at = Math.max(0, Math.min(price.time.length - 1, firstAtLeast(price.time, (view.cross === null ? view.to : view.cross) + 1) - 1));
    const places = Math.max(0, Math.min(10, price.scale));
    let text = `${moment(charts.start + price.time[at])}   open ${fixed(price.open[at], places)}   high ${fixed(price.high[at], places)}   low ${fixed(price.low[at], places)}   close ${fixed(price.close[at], places)}`;
    if (view.cross !== null) {
      const reach = ((view.to - view.from) / byId("price").clientWidth) * 6;
      for (const [fills, word] of [[price.buys, "bought"], [price.sells, "sold"]]) {
        const near = firstAtLeast(fills.time, view.cross - reach);
        if (near < fills.time.length && fills.time[near] <= view.cross + reach) {
          text += `   ${word} at ${fixed(fills.price[near], places)}` + (fills.count[near] > 1 ? ` (${fills.count[near]} fills)` : "");
        }
      }
    }
    byId("price-at").textContent = text;
    const drawn = price.bars > 1 ? `Each candle is ${price.bars} bars: first open, highest high, lowest low, last close. ` : "";
    const merged = price.marks.together > 1 ? `Each mark stands for up to ${price.marks.together} fills of one side.` : "";
    byId("price-note").textContent = drawn + merged;
  }

  /** The place in a curve under the cross, or its end. */
  function placeAt(time) {
    const at = view.cross === null ? view.to : view.cross;
    return Math.max(0, Math.min(time.length - 1, firstAtLeast(time, at + 1) - 1));
  }

  function cross(paper) {
    const { pen, x, height, inner } = paper;
    if (view.drag !== null && view.cross !== null) {
      pen.fillStyle = colours.accent;
      pen.globalAlpha = 0.14;
      pen.fillRect(x(view.drag), TOP, x(view.cross) - x(view.drag), height - TOP - BOTTOM);
      pen.globalAlpha = 1;
    }
    if (view.cross === null || x(view.cross) > inner) return;
    const at = Math.round(x(view.cross)) + 0.5;
    pen.strokeStyle = colours.muted;
    pen.lineWidth = 1;
    pen.setLineDash([3, 3]);
    pen.beginPath();
    pen.moveTo(at, TOP);
    pen.lineTo(at, height - BOTTOM);
    pen.stroke();
    pen.setLineDash([]);
  }

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(drawNow);
  }

  function drawNow() {
    waiting = false;
    drawEquity();
    drawDrawdown();
    drawPrice();
    byId("range").textContent = `${moment(charts.start + view.from)} to ${moment(charts.start + view.to)}`;
    const isWhole = view.to - view.from >= whole;
    for (const button of document.querySelectorAll("[data-move]")) {
      const where = button.dataset.move;
      button.disabled = where === "in" ? view.to - view.from <= shortest : where === "left" ? view.from <= 0 : where === "right" ? view.to >= whole : isWhole;
    }
  }

  // ---- Hands -------------------------------------------------------------------------------------------------------

  const KEYS = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", "_": "out", "0": "all", Home: "all" };

  for (const canvas of document.querySelectorAll("canvas")) {
    const timeOf = (event) => {
      const box = canvas.getBoundingClientRect();
      const share = (event.clientX - box.left) / (box.width - RIGHT);
      return view.from + Math.max(0, Math.min(1, share)) * (view.to - view.from);
    };
    canvas.addEventListener("pointermove", (event) => { view.cross = timeOf(event); draw(); });
    canvas.addEventListener("pointerleave", () => { if (view.drag === null) { view.cross = null; draw(); } });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      view.drag = view.cross = timeOf(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (view.drag === null) return;
      const [from, to] = [view.drag, timeOf(event)].sort((one, other) => one - other);
      view.drag = null;
      if ((to - from) / (view.to - view.from) > 0.01) look(from, to); else draw();
    });
    canvas.addEventListener("pointercancel", () => { view.drag = null; draw(); });
    canvas.addEventListener("dblclick", () => move("all"));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      view.cross = timeOf(event);
      move(event.deltaY < 0 ? "in" : "out");
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const where = KEYS[event.key];
      if (where === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      view.cross = null;
      move(where);
    });
  }
  for (const button of document.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => { view.cross = null; move(button.dataset.move); });
  }
  byId("symbol").value = chosen;
  byId("symbol").addEventListener("change", (event) => { chosen = event.target.value; draw(); });
  byId("compare").addEventListener("change", draw);
  new ResizeObserver(draw).observe(byId("equity"));

  const dark = matchMedia("(prefers-color-scheme: dark)");
  function recolour() { readColours(); drawNow(); }
  dark.addEventListener("change", recolour);
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    recolour();
  });
  // Paper is light, whatever the screen is.
  matchMedia("print").addEventListener("change", recolour);

  // ---- Tables ------------------------------------------------------------------------------------------------------

  const PAGE = 50;
  const tabs = [...document.querySelectorAll("[data-table]")];
  const listed = { table: null, texts: [], order: [], page: 0, sorted: null };

  const valueAt = (column, row) => (column.words.length ? column.words[column.values[row]] : column.values[row]);

  function textAt(column, row) {
    const value = valueAt(column, row);
    if (value === null || value === "") return "–";
    if (column.kind === "time") return moment(value);
    if (column.kind === "span") return span(value);
    if (column.kind === "gain") return percent(value);
    return column.kind === "money" ? grouped(value) : value;
  }

  function choose(name) {
    const table = told.tables.find((one) => one.name === name);
    listed.table = table;
    listed.sorted = null;
    // What the search looks in: each row's texts, and its plain numbers without separators.
    listed.texts = Array.from({ length: table.shown }, (_, row) => table.columns.map((column) => {
      const text = textAt(column, row);
      return column.kind === "money" ? text + " " + valueAt(column, row) : text;
    }).join(" ").toLowerCase());
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab.dataset.table === name));
      tab.tabIndex = tab.dataset.table === name ? 0 : -1;
      if (tab.dataset.table === name) byId("listing").setAttribute("aria-labelledby", tab.id);
    }
    for (const note of document.querySelectorAll("[data-of]")) note.hidden = note.dataset.of !== name;
    search();
  }

  function search() {
    const wanted = byId("search").value.toLowerCase().split(/\s+/).filter((word) => word);
    listed.order = [];
    listed.texts.forEach((text, row) => { if (wanted.every((word) => text.includes(word))) listed.order.push(row); });
    sort();
  }

  function sort() {
    if (listed.sorted !== null) {
      const column = listed.table.columns[listed.sorted.column];
      const key = (row) => {
        const value = valueAt(column, row);
        return column.kind === "money" ? (value === "" ? -Infinity : Number(value)) : value === null ? -Infinity : value;
      };
      const sign = listed.sorted.falling ? -1 : 1;
      listed.order.sort((one, other) => {
        const a = key(one), b = key(other);
        return a < b ? -sign : a > b ? sign : one - other;
      });
    }
    listed.page = 0;
    list();
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  const isNumber = (column) => ["money", "gain", "span"].includes(column.kind);

  function list() {
    const { table, order } = listed;
    const head = element("tr");
    table.columns.forEach((column, at) => {
      const cell = element("th", undefined, isNumber(column) ? "number" : "");
      cell.scope = "col";
      const button = element("button", column.title);
      button.type = "button";
      button.addEventListener("click", () => {
        const again = listed.sorted !== null && listed.sorted.column === at;
        listed.sorted = again && listed.sorted.falling ? null : { column: at, falling: again };
        search();
        byId("rows").tHead.rows[0].cells[at].firstChild.focus();
      });
      cell.append(button);
      if (listed.sorted !== null && listed.sorted.column === at) cell.setAttribute("aria-sort", listed.sorted.falling ? "descending" : "ascending");
      head.append(cell);
    });
    byId("rows").tHead.replaceChildren(head);
    const first = listed.page * PAGE;
    const found = order.slice(first, first + PAGE).map(rowOf);
    byId("rows").tBodies[0].replaceChildren(...(found.length ? found : [nothing()]));
    const pages = Math.max(1, Math.ceil(order.length / PAGE));
    byId("page").textContent = `${listed.page + 1} of ${pages}`;
    byId("previous").disabled = listed.page === 0;
    byId("next").disabled = listed.page + 1 >= pages;
    const name = table.title.toLowerCase();
    byId("found").textContent = order.length === table.shown ? `${grouped(order.length)} ${name}` : `${grouped(order.length)} of ${grouped(table.shown)} ${name}`;
  }

  function rowOf(row) {
    const made = element("tr");
    const symbol = listed.table.columns.find((column) => column.title === "Symbol");
    for (const column of listed.table.columns) {
      const text = textAt(column, row);
      if (column.kind === "time" && !made.childElementCount) {
        const cell = element("td");
        const button = element("button", text, "when");
        button.type = "button";
        button.title = "Show in the charts";
        button.addEventListener("click", () => show(valueAt(column, row) - charts.start, valueAt(symbol, row)));
        cell.append(button);
        made.append(cell);
        continue;
      }
      const className = isNumber(column) ? "number" : column.title === "Reason" ? "long" : text === "refused" ? "refused" : "";
      made.append(element("td", text, className));
    }
    return made;
  }

  /** Says why there is no row. */
  function nothing() {
    const cell = element("td", listed.table.shown ? "Nothing here matches the search." : "There are none in this run.", "hint");
    cell.colSpan = listed.table.columns.length;
    const made = element("tr");
    made.append(cell);
    return made;
  }

  /** Bring a moment of one symbol into the charts. */
  function show(ms, symbol) {
    chosen = byId("symbol").value = symbol;
    const width = Math.max(shortest, 120 * priceOf(symbol).width);
    look(ms - width / 2, ms + width / 2);
    view.cross = Math.min(view.to, ms);
    byId("price").scrollIntoView({ block: "center" });
    byId("price").focus({ preventScroll: true });
  }

  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => choose(tab.dataset.table));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step === undefined) return;
      const next = tabs[(at + step + tabs.length) % tabs.length];
      choose(next.dataset.table);
      next.focus();
    });
  });
  byId("search").addEventListener("input", search);
  byId("previous").addEventListener("click", () => { listed.page--; list(); });
  byId("next").addEventListener("click", () => { listed.page++; list(); });

  choose(tabs[0].dataset.table);
  recolour();
})();
