// ---- Diagram: lanes, bars, messages and marks on a canvas.
//
//   base      everything that stays while time passes; drawn again when the view changes
//   canvas    a copy of it, with what is yet to come paled, messages under way, the cursor
//
// Bars and lines that fall on the same pixels are drawn once: a run of 10,000 events costs about
// as much as what can be told apart.

const LEFT = 84, RIGHT = 14, AXIS = 30, BAND = 18;       // pixels
const MANY_ARROWS = 1500;
const MANY_HEADS = 400;                                  // arrows beyond this have no heads

// Of bars: colour, height and place in a lane; in grey they differ by the latter two.
const SHAPES = { work: ["work", 1, 0], task: ["task", 1, 0], recv: ["wait", 0.62, 0],
  send: ["send", 0.3, 0.35], step: ["ink", 1, 0] };
const OTHER_TASK = ["other", 0.8, 0], OTHER = ["other", 0.3, 0];
const LAYERS = ["lane", "work", "task", "other", "wait", "send", "ink"];

class Diagram {
  constructor(canvas, run) {
    this.canvas = canvas;
    this.run = run;
    this.base = document.createElement("canvas");
    this.from = run.window[0];
    this.to = run.window[1];
    this.time = run.window[0];
    this.row = -1;
    this.colours = {};
    this.top = 12 + (run.marks.length ? BAND : 0) + (run.generations.length > 1 ? BAND : 0);
  }

  // -- What is seen.

  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.base]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    Object.assign(this, { width, height, ratio, dirty: true });
  }

  choose(selection) {
    this.selection = selection;
    this.dirty = true;
  }

  recolour(root) {
    const style = getComputedStyle(root);
    for (const name of ["paper", "ink", "faint", "lane", "wait", "work", "task", "other", "send",
      "message", "injected", "suspected", "confirmed", "recovered", "focus"]) {
      this.colours[name] = style.getPropertyValue(`--replay-${name}`).trim();
    }
    this.dirty = true;
  }

  show(from, to) {
    const [first, last] = this.run.window, whole = last - first;
    const span = Math.min(Math.max(to - from, Math.min(20, whole)), whole);
    this.from = Math.min(Math.max(from, first), last - span);
    this.to = this.from + span;
    this.dirty = true;
  }

  zoom(factor, around = this.time) {
    if (around < this.from || around > this.to) around = (this.from + this.to) / 2;
    this.show(around - (around - this.from) / factor, around + (this.to - around) / factor);
  }

  pan(share) {
    const by = share * (this.to - this.from);
    this.show(this.from + by, this.to + by);
  }

  reveal(time) {
    if (time < this.from || time > this.to) {
      const span = this.to - this.from;
      this.show(time - span / 10, time + span * 9 / 10);
    }
  }

  // -- Where things are.

  x(time) {
    return LEFT + (time - this.from) / (this.to - this.from) * (this.width - LEFT - RIGHT);
  }

  timeAt(x) {
    return this.from + (x - LEFT) / (this.width - LEFT - RIGHT) * (this.to - this.from);
  }

  get lane() {
    return (this.height - this.top - AXIS) / Math.max(1, this.selection.shown.length);
  }

  // Room for numbers between the lanes; bars are thinner for it.
  get roomy() {
    return this.lane >= 26;
  }

  get share() {
    return this.roomy ? 0.52 : 0.72;
  }

  y(rank) {
    return this.top + (this.selection.place[rank] + 0.5) * this.lane;
  }

  // The row at a point: what is nearest in time, of the lane that is there.
  rowAt(x, y) {
    const rank = this.selection.shown[Math.floor((y - this.top) / this.lane)];
    const time = this.timeAt(x), { events } = this.run;
    let best = -1, least = 12 / (this.width - LEFT - RIGHT) * (this.to - this.from);
    for (const row of this.selection.rows) {
      if (events.rank[row] !== rank) continue;
      const distance = Math.max(events.start[row] - time, time - events.end[row], 0)
        + (events.end[row] - events.start[row]) * 1e-6;      // of two, the shorter
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  // -- Drawing.

  draw() {
    if (this.dirty) this.drawBase();
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.base, 0, 0);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const bottom = this.height - AXIS, x = this.x(this.time);
    const inside = Math.min(Math.max(x, LEFT), this.width - RIGHT);
    context.save();
    context.beginPath();
    context.rect(LEFT - 6, 0, this.width - LEFT - RIGHT + 12, bottom + 6);
    context.clip();
    context.globalAlpha = 0.55;                              // what is yet to come
    context.fillStyle = this.colours.paper;
    context.fillRect(inside, this.top - 8, this.width - inside, bottom - this.top + 8);
    context.globalAlpha = 1;
    this.drawUnderWay(context);
    if (this.row >= 0) this.drawSelected(context);
    if (x === inside) {
      context.fillStyle = this.colours.focus;
      context.fillRect(x - 1, this.top - 4, 2, bottom - this.top + 8);
    }
    context.restore();
  }

  drawUnderWay(context) {
    const { messages } = this.run;
    const radius = Math.min(5, Math.max(2, this.lane / 5));
    context.strokeStyle = context.fillStyle = this.colours.message;
    context.lineWidth = 2.5;
    const [first, last] = touching(messages.left, messages.reach, this.time, this.time);
    for (let i = first; i < last; i++) {
      if (messages.came[i] <= this.time || !this.hasArrow(i)) continue;
      const [x1, y1, x2, y2] = this.ends(i);
      const share = (this.x(this.time) - x1) / (x2 - x1 || 1);
      const y = y1 + share * (y2 - y1);
      line(context, x1, y1, this.x(this.time), y);
      context.beginPath();
      context.arc(this.x(this.time), y, radius, 0, 7);
      context.fill();
    }
  }

  drawSelected(context) {
    const { events, messages } = this.run, row = this.row;
    if (this.selection.place[events.rank[row]] < 0) return;
    context.strokeStyle = this.colours.ink;
    context.lineWidth = 2;
    const i = messages.recv.indexOf(row) >= 0 ? messages.recv.indexOf(row)
      : messages.send.indexOf(row);
    if (i >= 0 && this.hasArrow(i)) {
      const ends = this.ends(i);
      context.lineWidth = 3;
      line(context, ...ends);
      head(context, ...ends, 11, this.colours.ink);
      context.lineWidth = 2;
    }
    const x = this.x(events.start[row]), wide = Math.max(2, this.x(events.end[row]) - x);
    const high = Math.max(6, Math.min(this.lane, 26) - 4);
    context.strokeRect(x - 2, this.y(events.rank[row]) - high / 2, wide + 4, high);
  }

  drawBase() {
    this.dirty = false;
    const context = this.base.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.fillStyle = this.colours.paper;
    context.fillRect(0, 0, this.width, this.height);
    this.drawNames(context);
    this.drawAxis(context);
    context.save();
    context.beginPath();
    context.rect(LEFT - 6, 0, this.width - LEFT - RIGHT + 12, this.height - AXIS + 6);
    context.clip();
    this.drawGenerations(context);
    this.steps = [];                      // [x, y, number], to be written on top
    this.drawLanes(context);
    this.drawArrows(context);
    this.drawSteps(context);
    this.drawMarks(context);
    context.restore();
  }

  drawNames(context) {
    const { shown } = this.selection, every = niceStep(16 / this.lane);
    context.fillStyle = this.colours.ink;
    context.font = `${this.lane < 40 ? 13 : 14}px system-ui, sans-serif`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const name = this.run.tasks ? "worker" : "peer";
    shown.forEach((rank, place) => {
      if (place % every === 0) context.fillText(`${name} ${rank}`, LEFT - 12, this.y(rank));
    });
  }

  drawAxis(context) {
    const y = this.height - AXIS, room = this.width - LEFT - RIGHT;
    const step = niceStep((this.to - this.from) / Math.max(2, Math.floor(room / 110)));
    context.strokeStyle = this.colours.faint;
    context.fillStyle = this.colours.ink;
    context.lineWidth = 1;
    context.textBaseline = "top";
    const largest = Math.max(Math.abs(this.from), Math.abs(this.to));
    const digits = Math.max(2, Math.ceil(Math.log10(largest / step)) + 1);
    for (let tick = Math.ceil(this.from / step) * step; tick <= this.to; tick += step) {
      const x = this.x(tick), text = sayTime(Math.round(tick), Math.min(digits, 12));
      line(context, x, this.top, x, y + 5);
      const half = context.measureText(text).width / 2;
      context.textAlign = x + half > this.width - 2 ? "right" : "center";
      context.fillText(text, x + half > this.width - 2 ? this.width - 2 : x, y + 8);
    }
  }

  drawGenerations(context) {
    const { generations } = this.run;
    if (generations.length < 2) return;
    const y = this.top - BAND - 8;
    context.font = "13px system-ui, sans-serif";
    context.textBaseline = "middle";
    generations.forEach(([members, start, end], number) => {
      const x1 = Math.max(LEFT, this.x(start)), x2 = Math.min(this.width - RIGHT, this.x(end));
      if (x2 <= x1) return;
      context.globalAlpha = number % 2 ? 0.9 : 0.45;
      context.fillStyle = this.colours.faint;
      context.fillRect(x1, y, x2 - x1 - 1, BAND - 3);
      context.globalAlpha = 1;
      context.fillStyle = this.colours.ink;
      const words = [`generation ${number + 1}: ${members.length} peers`,
        `${number + 1}: ${members.length}`, `${number + 1}`];
      const text = words.find(one => context.measureText(one).width < x2 - x1 - 8);
      context.textAlign = "left";
      if (text) context.fillText(text, x1 + 4, y + BAND / 2 - 1);
    });
  }

  // Bars are collected by colour first: to change it for each would take as long as to draw.
  drawLanes(context) {
    const { lane, share } = this, bars = Object.fromEntries(LAYERS.map(name => [name, []]));
    for (const rank of this.selection.shown) {
      this.collect(rank, this.y(rank), Math.max(1, Math.min(22, lane * share)), bars);
    }
    context.fillStyle = this.colours.faint;
    for (const rank of lane > 3 ? this.selection.shown : []) {
      context.fillRect(LEFT, this.y(rank) - 0.5, this.width - LEFT - RIGHT, 1);
    }
    context.save();
    context.scale(1 / this.ratio, 1 / this.ratio);           // whole pixels are quicker
    for (const name of LAYERS) this.paint(context, this.colours[name], bars[name]);
    context.restore();
  }

  paint(context, colour, bars) {
    const { ratio } = this, seen = new Set();
    context.fillStyle = colour;
    for (const [x, y, wide, high] of bars) {
      const left = Math.round(x * ratio), top = Math.round(y * ratio);
      const right = Math.max(left + 1, Math.round((x + wide) * ratio));
      if (this.lane * ratio < 1) {        // several lanes share a pixel
        const key = (top * 16384 + left) * 16384 + right;
        if (seen.has(key)) continue;
        seen.add(key);
      }
      context.fillRect(left, top, right - left,
        Math.max(1, Math.round((y + high) * ratio) - top));
    }
  }

  collect(rank, y, high, bars) {
    const lane = this.run.lanes[rank], { events } = this.run, { keep } = this.selection;
    for (const [start, end] of this.run.tasks ? [] : lane.spans) {
      const x1 = Math.max(LEFT, this.x(start)), x2 = Math.min(this.width, this.x(end));
      if (x2 > x1) bars.lane.push([x1, y - high / 2, x2 - x1, high]);
    }
    const open = {}, pixel = 1 / this.ratio;         // open: the last bar of each colour
    const [first, last] = touching(lane.starts, lane.reach, this.from, this.to);
    for (let i = first; i < last; i++) {
      const row = lane.rows[i], kind = events.kind[row];
      if (!keep[row]) continue;
      const x1 = Math.max(LEFT - 6, this.x(events.start[row]));
      const wide = Math.max(Math.min(this.width, this.x(events.end[row])) - x1, pixel);
      const [colour, share, place] = kind === "task" && i % 2 ? OTHER_TASK : SHAPES[kind] || OTHER;
      const before = open[colour];
      if (before && x1 < before[0] + before[2] + pixel / 2) {      // no gap to be seen: one bar
        before[2] = Math.max(before[2], x1 + wide - before[0]);
        continue;
      }
      open[colour] = kind === "step" ? [x1 - 0.75, y - high / 2 - 2, 1.5, high + 4]
        : [x1, y + (place - share / 2) * high, wide, share * high];
      bars[colour].push(open[colour]);
      if (kind === "step") this.steps.push([x1 + 2, y - high / 2, events.step[row]]);
    }
  }

  // The numbers of steps, above their lane: where there is room for the next one too.
  drawSteps(context) {
    if (!this.roomy) return;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "bottom";
    context.fillStyle = this.colours.ink;
    context.strokeStyle = this.colours.paper;
    context.lineWidth = 3;
    let [lane, words] = [null, 0];
    for (const [x, y, step] of this.steps) {
      if (y !== lane) [lane, words] = [y, -Infinity];
      if (x < words) continue;
      context.strokeText(step, x, y + 1);
      context.fillText(step, x, y + 1);
      words = x + context.measureText(step).width + 8;
    }
  }

  hasArrow(i) {
    const { messages, events } = this.run, { keep, place } = this.selection;
    return (keep[messages.recv[i]] || keep[messages.send[i]])
      && place[events.rank[messages.recv[i]]] >= 0 && place[events.rank[messages.send[i]]] >= 0;
  }

  ends(i) {
    const { messages, events } = this.run;
    return clipped(this.x(messages.left[i]), this.y(events.rank[messages.send[i]]),
      this.x(messages.came[i]), this.y(events.rank[messages.recv[i]]), -50, this.width + 50);
  }

  drawArrows(context) {
    const { messages } = this.run, seen = new Set(), arrows = [];
    const [first, last] = touching(messages.left, messages.reach, this.from, this.to);
    const grain = last - first > MANY_ARROWS ? 2 : 1;      // pixels that count as the same
    for (let i = first; i < last; i++) {
      if (messages.came[i] < this.from || !this.hasArrow(i)) continue;
      const ends = this.ends(i);
      let pixels = 0;
      for (const one of ends) pixels = pixels * 8192 + Math.round(one / grain) + 64;
      if (seen.has(pixels)) continue;
      seen.add(pixels);
      arrows.push(ends);
    }
    context.strokeStyle = this.colours.message;
    context.lineWidth = arrows.length > MANY_HEADS ? 0.9 : 1.3;
    context.globalAlpha = Math.max(0.15, Math.min(1, 600 / arrows.length));  // bars shine through
    for (let i = 0; i < arrows.length; i += 100) {          // one long path takes much longer
      context.beginPath();
      for (const [x1, y1, x2, y2] of arrows.slice(i, i + 100)) {
        context.moveTo(x1, y1);
        context.lineTo(x2, y2);
      }
      context.stroke();
    }
    context.globalAlpha = 1;
    if (arrows.length > MANY_HEADS) return;
    for (const ends of arrows) head(context, ...ends, 7, this.colours.message);
  }

  // Faults: their sign in a band at the top, a dashed line down, and the sign on the lane.
  drawMarks(context) {
    const { events, marks } = this.run;
    const rows = marks.filter(row => this.selection.keep[row]
      && events.start[row] >= this.from && events.start[row] <= this.to);
    const bottom = this.height - AXIS, dashes = { injected: [], suspected: [2, 3],
      confirmed: [6, 4], recovered: [8, 3, 2, 3] };
    const on = [];                        // [rank, x] of the signs on lanes
    let taken = -Infinity;                // in the band, to where
    rows.forEach((row, i) => {
      const kind = events.kind[row], rank = events.rank[row], x = this.x(events.start[row]);
      context.strokeStyle = this.colours[kind];
      context.lineWidth = 1.5;
      context.setLineDash(dashes[kind]);
      line(context, x, this.top - 9, x, bottom);
      context.setLineDash([]);
      if (!on.some(([other, at]) => other === rank && Math.abs(at - x) < 14)) {
        sign(context, kind, x, this.y(rank), 6, this.colours);
        on.push([rank, x]);
      }
      const at = Math.max(x, taken + 10);
      if (at > x + 60) return;            // too many to tell apart: zoom in
      sign(context, kind, at, BAND / 2 + 1, 6, this.colours);
      taken = at + 6;
      // "3 peers go on" is about none of them.
      const text = kind === "recovered" && events.label[row].endsWith("go on") ? "" : String(rank);
      const next = i + 1 < rows.length ? this.x(events.start[rows[i + 1]]) - 8 : this.width;
      context.font = "13px system-ui, sans-serif";
      const wide = context.measureText(text).width;
      if (at + 9 + wide > Math.max(next, at + 9)) return;
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.fillStyle = this.colours.ink;
      context.fillText(text, at + 9, BAND / 2 + 2);
      taken = at + 9 + wide;
    });
  }
}
